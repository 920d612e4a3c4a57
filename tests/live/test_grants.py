"""docker/mysql/grants.sql on MySQL and MariaDB: jobs, dashboards and prune may do what they need, and nothing else.

`millrace` is the administrator of the servers that tests start, so that name is replaced by another.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from sqlalchemy import make_url, text
from tests.support import execute

from millrace.errors import ConfigError
from millrace.sinks.sql import candles as market
from millrace.sinks.sql import database, prune, tables
from millrace.sinks.sql import writer as sql
from millrace.sinks.sql.views import VIEWS

GRANTS = (Path(__file__).parents[2] / "docker" / "mysql" / "grants.sql").read_text()
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SMALL, STAGED = 10, sql.STAGED_FROM
PASSWORDS = {
    "MILLRACE-PASSWORD": "jobs secret",
    "VIEWER-PASSWORD": "viewers secret",
    "KEEPER-PASSWORD": "keepers secret",
}


@dataclass
class Server:
    """A server with the accounts of the file: the URLs of its administrator, of jobs, of dashboards and of prune."""

    admin: str
    jobs: str
    viewer: str
    keeper: str


@pytest.fixture(params=["mysql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    found = request.getfixturevalue(request.param)
    admin = found if request.param == "mariadb" else found.store_url("mysql")
    accounts = {
        user: make_url(admin).set(username=user, password=password, database="granted")
        for user, password in zip(("granted", "viewer", "keeper"), PASSWORDS.values(), strict=True)
    }
    urls = [url.render_as_string(hide_password=False) for url in accounts.values()]
    execute(admin, "DROP USER IF EXISTS granted, viewer, keeper")
    grant(admin)
    grant(admin)
    yield Server(admin, *urls)
    execute(admin, "DROP USER granted, viewer, keeper", "DROP DATABASE granted")


def grant(admin: str) -> None:
    """Execute the file, with passwords, for a database and a user called `granted`."""
    script = re.sub(r"^--.*$", "", GRANTS, flags=re.MULTILINE).replace("millrace", "granted")
    for placeholder, password in PASSWORDS.items():
        script = script.replace(placeholder, password)
    execute(admin, *filter(str.strip, script.split(";")))


def read(url: str, query: str) -> int:
    engine = database.connect(url)
    with database.errors(engine.url), engine.connect() as connection:
        found = connection.execute(text(query)).scalar_one()
    engine.dispose()
    return int(found)


def work(url: str) -> None:
    """Do what jobs do: make the tables and views, again at their next start, and upsert batches of both sizes."""
    tables.create(url)
    tables.create(url)
    engine = database.connect(url)
    try:
        for size, posts in ((SMALL, 1), (STAGED, 2), (SMALL, 3)):
            one = {"source": "x", "window_start": NOON, "window_end": NOON + timedelta(minutes=1), "posts": posts}
            rows = pa.Table.from_pylist([{**one, "hashtag": f"tag{n}"} for n in range(size)])
            sql.store(engine, tables.hashtag_counts, rows)
    finally:
        engine.dispose()


def trade(url: str) -> None:
    """Do what candles do, twice as two starts: views of both kinds, candles, a gap that is known late, progress."""
    for _ in range(2):
        market.register(url, {"AAPL": "AAPL"})
        market.register(url, {"MSFT": "MSFT"}, flat=True)
    engine = database.connect(url)
    try:
        times = {"window_start": NOON, "window_end": NOON + timedelta(minutes=1)}
        one = dict.fromkeys(("open", "high", "low", "close", "volume", "vwap"), 7.0) | times
        counts = {"resolution": "1m", "complete": True, "trades": 1, "updates": 1}
        rows = pa.Table.from_pylist([{"symbol": symbol} | counts | one for symbol in ("AAPL", "MSFT")])
        for batch in range(2):
            sql.store(engine, tables.candles, rows)
            market.mark_incomplete(engine, [(NOON, NOON)])
            market.note_progress(engine, "candles", batch, NOON)
    finally:
        engine.dispose()


def test_candles_are_written_and_marked(server: Server) -> None:
    tables.create(server.jobs)
    trade(server.jobs)
    for view in ("aapl", "msft", "candles_flat WHERE symbol = 'AAPL'"):
        assert read(server.viewer, f"SELECT count(*) FROM {view}") == 1
    assert read(server.viewer, "SELECT sum(complete) FROM candles") == 0
    assert read(server.viewer, "SELECT batch FROM progress WHERE job = 'candles'") == 1


def test_a_view_changes_only_with_the_right_to(server: Server) -> None:
    tables.create(server.jobs)
    market.register(server.jobs, {"AAPL": "AAPL"})
    with pytest.raises(ConfigError, match=r"view aapl, .* takes the right DROP on it, .*denied"):
        market.register(server.jobs, {"AAPL": "AAPL"}, flat=True)
    execute(server.admin, "GRANT DROP ON granted.aapl TO granted")
    market.register(server.jobs, {"AAPL": "AAPL"}, flat=True)
    assert read(server.viewer, "SELECT count(*) FROM aapl WHERE flat") == 0


def test_jobs_write_and_dashboards_read(server: Server) -> None:
    work(server.jobs)
    assert read(server.viewer, "SELECT count(*) FROM hashtag_counts") == STAGED
    assert read(server.viewer, "SELECT sum(posts) FROM hashtag_counts") == 2 * STAGED + SMALL
    for view in VIEWS:
        rows = STAGED if view == "trending_hashtags" else 0
        assert read(server.viewer, f"SELECT count(*) FROM {view}") == rows
        assert "create " in describe(server.viewer, view)


def test_prune_deletes(server: Server) -> None:
    work(server.jobs)
    assert pruned(server.keeper, NOON) == 0
    assert pruned(server.keeper, NOON + timedelta(seconds=1)) == STAGED
    assert read(server.viewer, "SELECT count(*) FROM hashtag_counts") == 0


def pruned(url: str, before: datetime) -> int:
    """Do what `millrace prune --yes` does; returns how many rows went."""
    counting, deleting, gone = database.reader(url), database.connect(url), []
    try:
        old = sum(stock.old for stock in prune.stocks(counting, before))
        prune.prune(deleting, before, gone.append)
    finally:
        counting.dispose()
        deleting.dispose()
    assert sum(gone) == old
    return old


def describe(url: str, view: str) -> str:
    engine = database.connect(url)
    with engine.connect() as connection:
        shown = connection.execute(text(f"SHOW CREATE VIEW {view}")).all()
    engine.dispose()
    return str(shown).lower()


FORBIDDEN = {
    "viewer": [
        "INSERT INTO post_counts VALUES ('x', '2026-11-22', '2026-11-23', 1)",
        "UPDATE hashtag_counts SET posts = 0",
        "CREATE TABLE mine (n INT)",
        "CREATE VIEW mine AS SELECT 1",
        "DELETE FROM hashtag_counts",
        "DROP VIEW trending_hashtags",
        "DROP TABLE hashtag_counts",
        "GRANT INSERT ON granted.* TO viewer",
        "SELECT * FROM mysql.user",
    ],
    "keeper": [
        "INSERT INTO post_counts VALUES ('x', '2026-11-22', '2026-11-23', 1)",
        "UPDATE hashtag_counts SET posts = 0",
        "CREATE TABLE mine (n INT)",
        "TRUNCATE TABLE hashtag_counts",
        "DROP TABLE hashtag_counts",
        "GRANT SELECT ON granted.* TO viewer",
        "SELECT * FROM mysql.user",
    ],
    "jobs": [
        "DROP TABLE hashtag_counts",
        "DELETE FROM hashtag_counts",
        "TRUNCATE TABLE hashtag_counts",
        "ALTER TABLE hashtag_counts DROP COLUMN posts",
        "DROP DATABASE granted",
        "CREATE DATABASE another",
        "GRANT SELECT ON granted.* TO viewer",
        "SELECT * FROM mysql.user",
    ],
}


@pytest.mark.parametrize("account", FORBIDDEN)
def test_more_is_denied(server: Server, account: str) -> None:
    work(server.jobs)
    for statement in FORBIDDEN[account]:
        with pytest.raises(ConfigError, match="denied"):
            execute(getattr(server, account), statement)
    assert read(server.viewer, "SELECT sum(posts) FROM hashtag_counts") == 2 * STAGED + SMALL


def test_prune_needs_both_privileges(server: Server) -> None:
    work(server.jobs)
    for privilege in ("SELECT", "DELETE"):
        execute(server.admin, f"REVOKE {privilege} ON granted.* FROM keeper")
        with pytest.raises(ConfigError, match=r"(?i)denied"):
            pruned(server.keeper, NOON + timedelta(seconds=1))
        grant(server.admin)
    assert read(server.viewer, "SELECT count(*) FROM hashtag_counts") == STAGED


def test_no_privilege_is_too_much(server: Server) -> None:
    """Without any one of them jobs do not get through."""
    [granted] = re.findall(r"GRANT ([A-Z, ]+) ON millrace\.\* TO 'millrace'", GRANTS)
    for privilege in granted.split(", "):
        execute(server.admin, f"REVOKE {privilege} ON granted.* FROM granted")
        with pytest.raises(ConfigError, match="denied"):
            work(server.jobs)
        execute(server.admin, "DROP DATABASE granted")
        grant(server.admin)
    work(server.jobs)


def test_every_view_may_be_replaced() -> None:
    assert set(re.findall(r"DROP ON millrace\.(\w+) TO 'millrace'", GRANTS)) == set(VIEWS)
