"""Superset as people see it: dashboards drawn from MySQL in a browser, and what its viewer may not do."""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Table, delete, func, select, text
from tests.browser.superset import CHOICE, Page, candle, fill, store
from tests.support import MINUTE, Child, alive, now, wait

from millrace import config, stack
from millrace import superset as command
from millrace.config import Settings
from millrace.errors import ConfigError
from millrace.sinks.sql import database, tables
from millrace.stack import mysql as mysql_server
from millrace.stack import servers, superset
from millrace.stack.superset import DESCRIBED, SUPERSET
from millrace.superset import DATA, JOBS

pytestmark = pytest.mark.timeout(1800)  # the first start installs Superset
ASSETS = DESCRIBED / "assets"
CHARTS = {path.stem: len(re.findall(r"type: CHART", path.read_text())) for path in (ASSETS / "dashboards").glob("*")}
SECOND_START = 60  # seconds
LATEST = 100  # rows of the table
GRAINS = {"PT1S": 1, "PT1M": 60, "PT5M": 300, "PT10M": 600, "PT15M": 900, "PT30M": 1800, "PT1H": 3600}


@dataclass
class Served:
    """A Superset that `make superset` started over the MySQL of `settings`."""

    settings: Settings
    folder: Path
    url: str
    said: str

    @property
    def mysql(self) -> str:
        return self.settings.store_url("mysql")

    @contextmanager
    def client(self, name: str) -> Iterator[httpx.Client]:
        """A client of its API that is logged in as `name`."""
        known = {"username": name, "password": superset.password(self.folder, name), "provider": "db"}
        with httpx.Client(base_url=self.url, timeout=60, headers={"Referer": self.url}) as client:
            token = client.post("/api/v1/security/login", json=known).raise_for_status().json()["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            csrf = client.get("/api/v1/security/csrf_token/").raise_for_status().json()["result"]
            client.headers["X-CSRFToken"] = csrf
            yield client


@pytest.fixture(scope="module")
def served(mysql: Settings) -> Iterator[Served]:
    settings = command.prepared(mysql)
    settings = config.load(home=Path(os.path.relpath(settings.home)))  # relative, as the default is
    folder = servers.folder(mysql.home, SUPERSET)
    (folder / "told").unlink(missing_ok=True)  # in a home that was kept
    try:
        said = fails(settings)
        with redirect_stderr(StringIO()) as after:
            url = command.start(settings)
        yield Served(settings, folder, url, said + after.getvalue())
    finally:
        servers.down(settings, ["superset"])


def fails(settings: Settings) -> str:
    """Have a first start end between the preparation and the server; return what it said."""
    in_the_way = settings.home / "logs" / f"{SUPERSET.name}.log"
    in_the_way.unlink(missing_ok=True)
    in_the_way.mkdir(parents=True)
    try:
        with redirect_stderr(StringIO()) as said, pytest.raises(IsADirectoryError):
            command.start(settings)
    finally:
        in_the_way.rmdir()
    return said.getvalue()


@pytest.fixture
def filled(served: Served) -> Served:
    empty(served)
    fill(served.mysql)
    return served


def empty(served: Served) -> None:
    clear(served, *DATA, tables.progress)


def clear(served: Served, *emptied: Table) -> None:
    engine = database.connect(served.mysql)
    with engine.begin() as connection:
        for table in emptied:
            connection.execute(delete(table))
    engine.dispose()


def ask(served: Served, query: Any) -> list[Any]:
    engine = database.connect(served.mysql)
    with engine.connect() as connection:
        found = list(connection.execute(query))
    engine.dispose()
    return found


@pytest.fixture(scope="module")
def page(served: Served, lasting_browser: Any) -> Page:
    """A browser in which the viewer is logged in."""
    lasting_browser.size(1500, 2000)
    page = Page(served.url, lasting_browser)
    page.log_in("viewer", superset.password(served.folder, "viewer"))
    return page


@pytest.mark.parametrize("dashboard", CHARTS)
def test_every_chart_is_drawn_and_none_shows_an_error(filled: Served, page: Page, dashboard: str) -> None:
    page.complaints()
    page.open(dashboard, CHARTS[dashboard])
    page.save(dashboard)
    assert page.complaints() == []


@pytest.mark.parametrize("dashboard", CHARTS)
def test_an_empty_store_is_no_error_and_fills_by_itself(served: Served, page: Page, dashboard: str) -> None:
    empty(served)
    page.show(dashboard, CHARTS[dashboard])
    wait(page.settled, "charts without data")
    page.save(f"{dashboard}-empty")
    assert not page.errors() and page.drawn() == 1 and "No data" in page.text("Data up to")
    assert command.EMPTY.replace("`", "") in page.driver.text()
    fill(served.mysql)
    page.fills(CHARTS[dashboard])


@pytest.mark.parametrize("zone", ["UTC", "America/St_Johns"])
def test_times_on_the_page_are_those_in_mysql(filled: Served, page: Page, zone: str) -> None:
    """The tile, the table, the axes and what the pointer meets on a curve, wherever the browser is."""
    with page.in_zone(zone):
        page.open("market", CHARTS["market"])
        times_are_those_in_mysql(filled, page)


def times_are_those_in_mysql(filled: Served, page: Page) -> None:
    rows = ask(filled, select(tables.candles.c.window_start, tables.candles.c.symbol, tables.candles.c.complete))
    known = {(f"{start:%Y-%m-%d %H:%M:%S}", symbol): complete for start, symbol, complete in rows}
    newest = max(start for start, _ in known)
    assert f"{newest} UTC" in page.text("Data up to")
    shown = {(row[0], row[1]): row[2] == "complete" for row in page.rows("Latest candles")}
    latest = sorted(sorted(known, key=itemgetter(1)), key=itemgetter(0), reverse=True)[:LATEST]
    assert shown == {key: known[key] for key in latest} and not all(shown.values())
    on_axes = {text for text in page.written() if re.fullmatch(r"\d\d:\d\d", text)}
    assert on_axes and on_axes <= {start[11:16] for start, _ in known}
    tips = page.tips("Price")
    assert tips and {tip.splitlines()[0].removesuffix(" UTC") for tip in tips} <= {start for start, _ in known}


@pytest.mark.parametrize(
    ("chosen", "symbol"),
    [("", "AAPL"), (CHOICE.format(symbol="OANDA:EUR_USD"), "OANDA:EUR_USD")],
    ids=["first", "chosen"],
)
def test_the_curves_are_the_prices_in_mysql(filled: Served, page: Page, chosen: str, symbol: str) -> None:
    """Those of the symbol that is chosen, else of the first."""
    page.open("market", CHARTS["market"], chosen)
    query = select(tables.candles.c.window_start, tables.candles.c.close).where(tables.candles.c.symbol == symbol)
    closes = {f"{start:%Y-%m-%d %H:%M:%S}": close for start, close in ask(filled, query)}
    for tip in page.tips("VWAP"):
        moment, told = tip.splitlines()[0].removesuffix(" UTC"), re.search(rf"Close, {symbol}\s+([\d.,]+)", tip)
        assert told and Decimal(told[1].replace(",", "")) == pytest.approx(closes[moment], rel=Decimal("1e-6"))


def counted(
    client: httpx.Client, dataset: str, metrics: list[str], hour: int, *columns: str, **chosen: str
) -> list[dict[str, Any]]:
    """Return what a chart over `dataset` gets for that hour of today, UTC."""
    time = f"{now():%Y-%m-%d}T{hour:02}:00:00 : {now():%Y-%m-%d}T{hour:02}:59:59"
    filters: list[dict[str, Any]] = [{"col": "window_start", "op": "TEMPORAL_RANGE", "val": time}]
    filters += [{"col": column, "op": "IN", "val": [value]} for column, value in chosen.items()]
    query = {"columns": columns, "metrics": metrics, "filters": filters, "row_limit": 1000}
    number = entry(client, "dataset", "table_name", dataset)["id"]
    asked = {"datasource": {"id": number, "type": "table"}, "queries": [query], "result_format": "json"}
    answer = client.post("/api/v1/chart/data", json=asked)
    assert answer.is_success, answer.text
    return list(answer.json()["result"][0]["data"])


def hashtags(source: str, start: datetime, length: timedelta, **posts: int) -> list[dict[str, Any]]:
    window = {"source": source, "window_start": start, "window_end": start + length}
    return [{**window, "hashtag": tag, "posts": count} for tag, count in posts.items()]


def test_windows_that_overlap_are_not_added_up(served: Served) -> None:
    """Bluesky's slide, Mastodon's are of a minute and of five; in the hour before, those of five minutes are alone."""
    empty(served)
    nine = now().replace(hour=9, minute=0, second=0, microsecond=0)
    sliding = [row for n in range(10) for row in hashtags("bluesky", nine + MINUTE * n, MINUTE * 5, cat=5)]
    single = [row for n in range(10) for row in hashtags("mastodon", nine + MINUTE * n, MINUTE, cat=1, dog=2)]
    fives = [
        row for n in range(-2, 2) for row in hashtags("mastodon", nine + MINUTE * 5 * n, MINUTE * 5, cat=5, dog=10)
    ]
    store(served.mysql, "hashtag_counts", sliding + single + fives)
    with served.client("admin") as client:
        found = counted(client, "hashtag_counts", ["Posts"], 9, "source", "hashtag")
        assert {(row["source"], row["hashtag"]): int(row["Posts"]) for row in found} == {
            ("bluesky", "cat"): 10, ("mastodon", "cat"): 10, ("mastodon", "dog"): 20,
        }  # fmt: skip
        [before] = counted(client, "hashtag_counts", ["Posts"], 8)
        assert int(before["Posts"]) == 30


def test_hashtags_trend_in_the_time_that_is_chosen(served: Served) -> None:
    """Its last ten full minutes, of the sources chosen; the clock does not matter."""
    empty(served)
    nine = now().replace(hour=9, minute=0, second=0, microsecond=0)
    posts = [hashtags("mastodon", nine + MINUTE * n, MINUTE, rising=n // 10, falling=1) for n in range(30)]
    posts.append(hashtags("mastodon", nine + MINUTE * 30, MINUTE, rising=1))  # still filling
    posts += [hashtags("bluesky", nine + MINUTE * n, MINUTE, rising=100) for n in (45, 46)]
    store(served.mysql, "hashtag_counts", list(chain(*posts)))
    metrics = ["Posts", "Last 10 min", "Change"]
    with served.client("admin") as client:
        found = counted(client, "hashtag_counts", metrics, 9, "hashtag", source="mastodon")
        assert {row["hashtag"]: [int(row[name]) for name in metrics] for row in found} == {
            "rising": [31, 20, 10], "falling": [30, 10, 0],
        }  # fmt: skip
        both = counted(client, "hashtag_counts", metrics, 9, "hashtag")
        assert {row["hashtag"]: int(row["Last 10 min"]) for row in both} == {"rising": 100, "falling": 0}


def test_the_first_symbol_is_that_of_the_time_and_resolution_chosen(served: Served) -> None:
    empty(served)
    nine = now().replace(hour=9, minute=0, second=0, microsecond=0)
    known = [candle(symbol, nine - MINUTE * ago, Decimal(1), Decimal(2)) for symbol, ago in (("MSFT", 60), ("TSLA", 0))]
    store(served.mysql, "candles", [*known, candle("AAPL", nine, Decimal(1), Decimal(2)) | {"resolution": "10s"}])
    with served.client("admin") as client:
        for hour, resolution, symbol in ((8, "1m", "MSFT"), (9, "1m", "TSLA"), (9, "10s", "AAPL")):
            found = counted(client, "curves", ["Close"], hour, "symbol", resolution=resolution)
            assert [row["symbol"] for row in found] == [symbol]


@pytest.mark.parametrize(("grain", "seconds"), GRAINS.items())
def test_a_grain_keeps_the_hour(filled: Served, grain: str, seconds: int) -> None:
    """Second, minute and hour are where Superset 6.1 would double the hour."""
    with filled.client("admin") as client:
        dataset = entry(client, "dataset", "table_name", "post_counts")["id"]
        axis = {"columnType": "BASE_AXIS", "sqlExpression": "window_start", "label": "window_start"}
        query = {
            "columns": [axis | {"timeGrain": grain, "expressionType": "SQL"}],
            "metrics": ["Posts"],
            "row_limit": 1000,
        }
        asked = {"datasource": {"id": dataset, "type": "table"}, "queries": [query], "result_format": "json"}
        answer = client.post("/api/v1/chart/data", json=asked).raise_for_status().json()["result"][0]["data"]
    expected: dict[float, int] = {}
    for start, posts in ask(filled, select(tables.post_counts.c.window_start, tables.post_counts.c.posts)):
        bucket = start.timestamp() // seconds * seconds
        expected[bucket] = expected.get(bucket, 0) + posts
    assert {row["window_start"] / 1000: int(row["Posts"]) for row in answer} == expected


def test_the_viewer_looks_and_changes_nothing(filled: Served, page: Page) -> None:
    page.open("social", CHARTS["social"])
    assert "Edit dashboard" not in page.driver.page_source
    with filled.client("admin") as admin:
        shown = admin.get("/api/v1/dashboard/social").raise_for_status().json()["result"]
        chart = admin.get("/api/v1/dashboard/social/charts").raise_for_status().json()["result"][0]["id"]
        dashboard = f"/api/v1/dashboard/{shown['id']}"
        assert page.call("GET", dashboard) == page.call("GET", f"/api/v1/chart/{chart}") == 200
        refused: list[tuple[str, str, dict[str, Any] | None]] = [
            ("PUT", dashboard, {"dashboard_title": "Mine"}),
            ("DELETE", dashboard, None),
            ("PUT", f"/api/v1/chart/{chart}", {"slice_name": "Mine"}),
            ("POST", "/api/v1/dashboard/", {"dashboard_title": "Mine"}),
            ("POST", "/api/v1/sqllab/execute/", {"database_id": 1, "sql": "SELECT 1"}),
            ("GET", "/api/v1/database/1/connection", None),
            ("GET", "/api/v1/security/users/", None),
        ]
        assert [page.call(*each) for each in refused] == [403] * len(refused)
        after = admin.get("/api/v1/dashboard/social").raise_for_status().json()["result"]
        assert after["dashboard_title"] == shown["dashboard_title"]


def test_another_start_puts_back_what_is_described(served: Served) -> None:
    with served.client("admin") as admin:
        for kind, key, value in (("chart", "slice_name", "Symbols"), ("dashboard", "slug", "social")):
            admin.delete(f"/api/v1/{kind}/{entry(admin, kind, key, value)['id']}").raise_for_status()
        languages = entry(admin, "chart", "slice_name", "Languages")
        admin.put(f"/api/v1/chart/{languages['id']}", json={"slice_name": "Mine"}).raise_for_status()
    begun = time.monotonic()
    command.start(served.settings)
    assert time.monotonic() - begun < SECOND_START
    with served.client("admin") as admin:
        for dashboard, charts in CHARTS.items():
            found = admin.get(f"/api/v1/dashboard/{dashboard}/charts").raise_for_status().json()["result"]
            assert len(found) == charts
        assert entry(admin, "chart", "slice_name", "Languages")["id"] == languages["id"]


def entry(client: httpx.Client, kind: str, key: str, value: str) -> dict[str, Any]:
    """Return the only thing of a kind whose `key` is `value`."""
    found = client.get(f"/api/v1/{kind}/", params={"q": "(page_size:100)"}).raise_for_status().json()["result"]
    [known] = [each for each in found if each[key] == value]
    return dict(known)


def test_another_mysql_is_read_where_its_user_may_make_accounts(
    mysql: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Compose's user of the jobs may not; nobody starts a local server for it in vain."""
    admin = database.connect(mysql.store_url("mysql"))
    with admin.begin() as connection:
        connection.execute(text("CREATE USER IF NOT EXISTS 'jobs'@'%' IDENTIFIED BY 'jobs'"))
        connection.execute(text(f"GRANT ALL ON {admin.url.database}.* TO 'jobs'@'%'"))
    theirs = admin.url.set(username="jobs", password="jobs").render_as_string(hide_password=False)
    monkeypatch.setenv("MILLRACE_MYSQL_URL", theirs)
    settings = command.prepared(config.load(home=tmp_path))
    assert "user jobs, database millrace, and no local MySQL is started" in capsys.readouterr().err
    assert not runs("mysql", settings)
    with pytest.raises(ConfigError, match=r"did not make the account(.|\n)*MILLRACE_MYSQL_URL needs CREATE USER"):
        command.start(settings)
    with admin.begin() as connection:
        connection.execute(text("DROP USER 'jobs'@'%'"))
    admin.dispose()


def test_superset_reads_mysql_as_somebody_who_cannot_write(served: Served) -> None:
    url = mysql_server.reader(served.mysql, superset.password(served.folder, "mysql"))
    engine = database.connect(url.replace("mysql+pymysql", "mysql+mysqlconnector").partition("?")[0])
    with database.errors(engine.url), engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(tables.candles)) is not None
    with pytest.raises(ConfigError, match="denied"), database.errors(engine.url), engine.begin() as connection:
        connection.execute(delete(tables.candles))
    engine.dispose()


def test_feed_fills_both_dashboards_until_ctrl_c(served: Served, page: Page, begin: Any, tmp_path: Path) -> None:
    """MySQL's account got another password meanwhile: the dashboards that are there read with it."""
    empty(served)
    (served.folder / "mysql" / "password").write_text("another")
    before = runs("kafka", served.settings)
    command = [sys.executable, "-m", "millrace.superset", "--feed", "--home", str(served.settings.home)]
    feed = begin(Child, tmp_path, "superset", command=command)
    feed.says("feeding both dashboards", deadline=300)
    assert "log in as" not in feed.text()
    for table in (tables.candles, tables.post_counts, tables.hashtag_counts):
        wait(lambda each=table: ask(served, select(each).limit(1)), f"rows of {table.name}", feed, deadline=180)
    page.open("market", CHARTS["market"])
    assert "What is shown is simulated" in page.driver.text()
    family = feed.tree()
    assert len(family) > len(JOBS) * 3 and feed.stop(signal.SIGINT, deadline=120) == 0
    assert not alive(family)
    assert runs("kafka", served.settings) == before and runs("superset", served.settings)


def runs(server: str, settings: Settings) -> bool:
    return any(row.name == server and row.ready for row in stack.status(settings))


def test_the_dashboards_say_what_is_simulated_as_long_as_it_is_there(served: Served) -> None:
    empty(served)
    command.mark(served.mysql)
    fill(served.mysql)
    command.mark(served.mysql)  # to go on
    command.start(served.settings)
    assert all(command.SIMULATED in note and command.EMPTY not in note for note in notes(served))
    empty(served)
    fill(served.mysql)
    command.start(served.settings)
    assert all(command.EMPTY in note and command.SIMULATED not in note for note in notes(served))


def notes(served: Served) -> list[str]:
    with served.client("admin") as client:
        found = [client.get(f"/api/v1/dashboard/{name}").raise_for_status().json()["result"] for name in CHARTS]
    return [json.loads(each["position_json"])["MARKDOWN-note"]["meta"]["code"] for each in found]


@pytest.mark.parametrize("table", DATA, ids=str)
def test_nothing_simulated_goes_where_others_wrote(served: Served, table: Table) -> None:
    """Into any table: each is filled alone."""
    empty(served)
    fill(served.mysql)
    store(served.mysql, "gaps", [{"source": "finnhub", "gap_start": now(), "gap_end": now(), "host": "", "reason": ""}])
    for each in set(DATA) - {table}:
        clear(served, each)
    assert not command.is_empty(served.mysql)
    with pytest.raises(ConfigError, match=r"holds rows already.*millrace down mysql --data"):
        command.mark(served.mysql)
    assert not command.is_simulated(served.mysql)
    clear(served, table)
    assert command.is_empty(served.mysql)


def test_what_is_not_told_is_kept_for_the_owner_alone(served: Served) -> None:
    for kept in ("admin/password", "viewer/password", "mysql/password", "secret-key"):
        assert (served.folder / kept).stat().st_mode & 0o777 == 0o600


def test_passwords_are_told_once_and_after_a_start_that_failed(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in superset.ACCOUNTS:
        assert served.said.count(f"log in as {name} with {superset.password(served.folder, name)} ") == 1
    command.start(served.settings)
    assert "log in as" not in capsys.readouterr().err


def test_an_empty_store_offers_the_simulators(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    empty(served)
    assert not command.asked(served.settings)
    assert "make superset ARGS=--feed" in capsys.readouterr().err
    fill(served.mysql)
    assert not command.asked(served.settings)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("answer", "wanted"), [("y", True), ("YES", True), ("n", False), ("", False)])
def test_somebody_at_a_terminal_is_asked_whether_to_feed_an_empty_store(
    served: Served, answer: str, wanted: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    empty(served)
    person, terminal = os.openpty()
    with os.fdopen(person, "w") as hand, os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        hand.write(f"{answer}\n")
        hand.flush()
        assert command.asked(served.settings) is wanted
        assert "from the simulators, until Ctrl-C? [y/N]" in capsys.readouterr().err
        fill(served.mysql)
        assert command.asked(served.settings) is False
        assert capsys.readouterr().err == ""
