"""Flat candles on every store: the same rows in whatever order candles come, at the cost of those asked for."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import Connection, Engine, delete, insert, select, text
from tests.contract import own_database

from millrace.kafka.gaps import Span
from millrace.sinks.sql import candles as market
from millrace.sinks.sql import database, tables
from millrace.sinks.sql import writer as sql
from millrace.sinks.sql.views import candles_flat

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LENGTHS = {"1m": timedelta(minutes=1), "10s": timedelta(seconds=10)}
MOST = 10_000
PRICES = ("open", "high", "low", "close", "volume", "vwap")
TIME = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    [("symbol", pa.string()), ("resolution", pa.string()), ("window_start", TIME), ("window_end", TIME)]
    + [(name, pa.decimal128(28, 10)) for name in PRICES]
    + [("trades", pa.int64()), ("complete", pa.bool_()), ("updates", pa.int64())]
)
Row = dict[str, Any]
STORES: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "sqlite": lambda request: f"sqlite:///{request.getfixturevalue('tmp_path') / 'a.db'}",
    "mysql": lambda request: own_database(request.getfixturevalue("mysql").store_url("mysql"), "flat"),
    "mariadb": lambda request: own_database(request.getfixturevalue("mariadb"), "flat"),
    "postgres": lambda request: own_database(request.getfixturevalue("postgres").store_url("postgres"), "flat"),
}


@pytest.fixture(params=STORES)
def engine(request: pytest.FixtureRequest) -> Any:
    """A store with empty tables."""
    url = STORES[request.param](request)
    tables.create(url)
    made = database.connect(url)
    yield made
    made.dispose()


def candle(symbol: str, resolution: str, number: int, price: int) -> Row:
    start = NOON + number * LENGTHS[resolution]
    prices = dict(zip(PRICES, map(Decimal, (price, price + 3, price - 1, price + 1, 7, price)), strict=True))
    rest = {"trades": 2, "complete": True, "updates": 2}
    return {"symbol": symbol, "resolution": resolution, "window_start": start,
            "window_end": start + LENGTHS[resolution], **prices, **rest}  # fmt: skip


def write(engine: Engine, rows: list[Row]) -> None:
    sql.store(engine, tables.candles, pa.Table.from_pylist(rows, schema=SCHEMA))


def touched(row: Row, gaps: list[Span]) -> bool:
    return any(start < row["window_end"] and end >= row["window_start"] for start, end in gaps)


def expected(rows: list[Row], gaps: list[Span]) -> list[tuple[Any, ...]]:
    """All candles with the flat ones, worked out window by window."""
    found = []
    for symbol, resolution in sorted({(row["symbol"], row["resolution"]) for row in rows}):
        length = LENGTHS[resolution]
        own = {row["window_start"]: row for row in rows if (row["symbol"], row["resolution"]) == (symbol, resolution)}
        start, last, since = min(own), max(own), 0
        shown: Row = {}
        while start <= last:
            since = 0 if start in own else since + 1
            shown = own.get(start, shown)
            flat = {"open": shown["close"], "high": shown["close"], "low": shown["close"], "volume": 0, "vwap": None,
                    "trades": 0, "complete": True}  # fmt: skip
            row = shown | (flat if since else {}) | {"window_start": start, "window_end": start + length}
            row["complete"] = row["complete"] and not touched(row, gaps)
            if since <= MOST:
                found.append(values(row | {"flat": since > 0}))
            start += length
    return sorted(found)


def values(row: Any) -> tuple[Any, ...]:
    """A row to compare: flags of MySQL are numbers, and SQLite's numbers have no places."""
    names = ("symbol", "resolution", "window_start", "window_end", *PRICES, "trades", "complete", "flat")
    return tuple(
        str(row[name]) if name == "vwap" and row[name] is None
        else str(float(row[name])) if isinstance(row[name], (int, Decimal, float)) else str(row[name])
        for name in names
    )  # fmt: skip


def stored(engine: Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return sorted(map(values, connection.execute(candles_flat(tables.metadata.tables)).mappings()))


def random_rows(chance: random.Random) -> list[Row]:
    """Thin series, and one with a hole that is too long to be filled."""
    rows = [
        candle(symbol, resolution, number, chance.randrange(2, 90))
        for symbol in ("AAPL", "THIN")
        for resolution in LENGTHS
        for number in chance.sample(range(150), 12)
    ]
    return [*rows, candle("THIN", "1m", 150 + MOST + 5, 4)]


@pytest.mark.parametrize("seed", [1, 2])
def test_every_order_of_candles_and_gaps_gives_the_same_rows(engine: Engine, seed: int) -> None:
    """A late candle takes over what follows it; a gap marks flat candles that are there, and those that come."""
    chance = random.Random(seed)
    rows = random_rows(chance)
    starts = [NOON + chance.randrange(9000) * timedelta(seconds=1) for _ in range(6)]
    gaps = [(start, start + chance.randrange(200) * timedelta(seconds=1)) for start in starts]
    chance.shuffle(rows)
    events: list[Any] = [rows[first : first + 4] for first in range(0, len(rows), 4)]
    for gap in gaps:
        events.insert(chance.randrange(len(events)), gap)
    for event in events:
        if isinstance(event, list):
            write(engine, [row | {"complete": not touched(row, known(engine))} for row in event])
            continue
        gap = {"source": "finnhub", "gap_start": event[0], "gap_end": event[1]}
        with engine.begin() as connection:
            there = connection.execute(select(tables.gaps).filter_by(**gap)).first()
            if not there:
                connection.execute(insert(tables.gaps), gap)
        market.mark_incomplete(engine, [event])
    assert stored(engine) == expected(rows, gaps)


def known(engine: Engine) -> list[Span]:
    with engine.connect() as connection:
        return [(row.gap_start, row.gap_end) for row in connection.execute(select(tables.gaps))]


def test_candles_of_an_earlier_version_are_noted_once(engine: Engine) -> None:
    rows = random_rows(random.Random(3))
    write(engine, rows)
    with engine.begin() as connection:
        connection.execute(text("DROP VIEW candles_flat"))
        tables.candle_windows.drop(connection)
        connection.execute(delete(tables.versions))
    tables.create(engine.url.render_as_string(hide_password=False))
    assert stored(engine) == expected(rows, [])


def test_the_same_candles_again_change_nothing(engine: Engine) -> None:
    rows = random_rows(random.Random(4))
    write(engine, rows)
    right = stored(engine)
    write(engine, rows[3:9])
    assert stored(engine) == right


def steps(connection: Connection, query: str) -> float:
    """How much the store does for a query: SQLite's instructions, the rows that others read."""
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        driver.set_progress_handler(step, 10)
        connection.execute(text(query)).all()
        driver.set_progress_handler(None, 10)
        return count
    if connection.dialect.name == "postgresql":
        [plan] = connection.execute(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}")).scalar_one()
        return read_by(plan["Plan"])
    connection.execute(text("FLUSH STATUS"))
    connection.execute(text(query)).all()
    return sum(int(row[1]) for row in connection.execute(text("SHOW SESSION STATUS LIKE 'Handler_read%'")))


def read_by(plan: dict[str, Any]) -> float:
    rows: float = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"]
    return rows + sum(map(read_by, plan.get("Plans", [])))


def test_rows_of_a_range_cost_by_that_range(engine: Engine) -> None:
    """The newest, and any others, of a thin symbol's flat view, which has 20,000 rows."""
    write(engine, [candle("THIN", "1m", number * 500, 5) for number in range(41)])
    view = market.register(engine.url.render_as_string(hide_password=False), {"THIN": "THIN"}, flat=True)["THIN"]
    newest = f"SELECT * FROM {view} WHERE resolution = '1m' ORDER BY window_start DESC LIMIT 5"
    since, until = ((NOON + number * LENGTHS["1m"]).strftime("%Y-%m-%d %H:%M:%S") for number in (3_300, 3_305))
    if engine.dialect.name == "sqlite":
        since, until = (f"{each.replace(' ', 'T')}.000Z" for each in (since, until))
    between = f"SELECT * FROM {view} WHERE resolution = '1m' AND window_start >= '{since}' AND window_start < '{until}'"
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("ANALYZE"))
        every = steps(connection, f"SELECT * FROM {view}")
        for query in (newest, between):
            assert len(connection.execute(text(query)).all()) == 5
            assert steps(connection, query) * 100 < every
