"""The page of replication in a browser: a real PostgreSQL and ClickHouse, and a Kafka Connect that is away."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.browser.page import FITS, View, visit
from tests.contract import own_database
from tests.copying import VERDICT

from millrace import config, stack
from millrace.cdc.catalog import connect
from millrace.cdc.connector import PUBLICATION
from millrace.cdc.follow import Choice, Following
from millrace.cdc.postgres import connection
from millrace.config import Settings

TABLE = "public.viewed"
CELLS = "[...document.querySelectorAll('[data-testid=stDataFrame] td')].map(cell => cell.textContent)"


@pytest.fixture
def source(postgres: Settings) -> str:
    """A database of its own with a published table of three rows, which nobody captures."""
    url = own_database(postgres.store_url("postgres"), "looked_at")
    with connection(url) as session:
        session.execute(b"CREATE TABLE viewed (id int PRIMARY KEY, name text)")
        session.execute(b"INSERT INTO viewed VALUES (1, 'a'), (2, 'b'), (3, NULL)")
        session.execute(f"CREATE PUBLICATION {PUBLICATION} FOR TABLE viewed".encode())
    return url


@pytest.fixture
def copied(view: View, source: str) -> Iterator[str]:
    """The source of a home whose ClickHouse has nothing of the table yet, and which has a verdict."""
    (view.home / "run").mkdir(exist_ok=True)
    (view.home / "run" / "cdc-verify.json").write_text(json.dumps(VERDICT))
    (view.home / "servers.env").write_text(
        f"MILLRACE_POSTGRES_URL={source}\nMILLRACE_CONNECT_URL=http://127.0.0.1:1\nMILLRACE_KAFKA_BOOTSTRAP=127.0.0.1:1\n"
    )
    engine = connect(source)
    Following(engine, Settings(home=view.home).clickhouse, Choice((TABLE,))).begin()
    engine.dispose()
    yield source
    stack.down(config.load(home=view.home), ["clickhouse"])


@pytest.mark.usefixtures("copied")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_sides_and_what_is_away(view: View, browser: Any, picture: Callable[[str], None], scheme: str) -> None:
    browser.media(scheme)
    browser.get(view.url)
    visit(browser, "replication")
    browser.reads("Kafka Connect at 127.0.0.1:1", "millrace up connect", "1 differ", "0/1C604C8")
    browser.sees(f"{CELLS}.join().startsWith('public.viewed,3,0,')")
    browser.sees(f"{CELLS}.join().includes('id=7,different,name')")
    browser.size(1280, 1500)
    picture(f"replication-{scheme}")
    assert browser.strangers() == set()
    assert browser.complaints() == []


def test_rows_move_and_a_phone_shows_them(
    view: View, browser: Any, copied: str, picture: Callable[[str], None]
) -> None:
    browser.size(390, 844, mobile=True)
    browser.get(f"{view.url}/replication")
    browser.sees(f"{CELLS}.join().startsWith('public.viewed,3,')")
    browser.execute_script("window.same = true")
    with connection(copied) as session:
        session.execute(b"DELETE FROM viewed WHERE id = 1")
    browser.sees(f"{CELLS}.join().startsWith('public.viewed,2,')")
    assert browser.execute_script("return window.same"), "the page was loaded anew"
    browser.sees(FITS)
    picture("replication-phone")
