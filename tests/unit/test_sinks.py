"""What sinks promise without a server: SQLite stands for the others, statements are compared as text."""

import hashlib
import inspect
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, Column, MetaData, Table, insert, select, text
from sqlalchemy.schema import CreateTable

from millrace import names
from millrace.errors import BadRecord, ConfigError, Unavailable
from millrace.sinks import console, kafka, together
from millrace.sinks.retry import Patience
from millrace.sinks.sql import candles, database, ddl, staging, tables
from millrace.sinks.sql import statements as merge
from millrace.sinks.sql import writer as sql
from millrace.sinks.sql.columns import Money, Time, key_text
from millrace.sinks.sql.rows import newest, settle_times, sift

FACTORIES = [sql.upsert, kafka.publish, console.show, together.together]
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TIME = pa.timestamp("us", "UTC")


def ordered_table() -> Table:
    return Table(
        "ordered",
        MetaData(),
        Column("name", key_text(20), primary_key=True),
        Column("n", BigInteger),
        Column("lsn", BigInteger),
        info={"order": "lsn"},
    )


def ordered_rows(rows: list[tuple[str, int, int | None]]) -> pa.Table:
    names, numbers, orders = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    return pa.table(
        {"name": pa.array(names, pa.string()), "n": pa.array(numbers, pa.int64()), "lsn": pa.array(orders, pa.int64())}
    )


@pytest.mark.parametrize("factory", FACTORIES)
def test_every_writer_says_what_it_delivers(factory: Callable[..., Any]) -> None:
    last = inspect.cleandoc(factory.__doc__ or "").split("\n\n")[-1]
    assert last.startswith("Delivery: ")


BATCHES = st.lists(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(0, 99), st.none() | st.integers(0, 5)),
        max_size=8,
    ),
    max_size=5,
)


@settings(deadline=None)  # the first example warms Arrow up
@given(BATCHES, st.booleans())
def test_upsert_keeps_the_newest(batches: list[list[tuple[str, int, int | None]]], replayed: bool) -> None:
    table, engine = ordered_table(), database.connect("sqlite://")
    table.create(engine)
    expected: dict[str, tuple[int, int | None]] = {}
    for batch in batches:
        for _ in range(1 + replayed):
            sql.store(engine, table, ordered_rows(batch))
        for name, (n, lsn) in _newest_by_name(batch).items():
            _, stored = expected.get(name, (0, None))
            if stored is None or (lsn is not None and lsn >= stored):
                expected[name] = (n, lsn)
    with engine.connect() as connection:
        found = {name: (n, lsn) for name, n, lsn in connection.execute(select(table))}
    engine.dispose()
    assert found == expected


def _newest_by_name(batch: list[tuple[str, int, int | None]]) -> dict[str, tuple[int, int | None]]:
    best: dict[str, tuple[int, int | None]] = {}
    for name, n, lsn in batch:
        if name not in best or (-1 if lsn is None else lsn) >= (-1 if best[name][1] is None else best[name][1]):
            best[name] = (n, lsn)
    return best


def test_rows_are_sorted_by_key() -> None:
    placed = newest(ordered_rows([("c", 1, 1), ("a", 1, 1), ("b", 1, 2), ("b", 2, 1)]), ["name"], "lsn")
    assert placed.column("name").to_pylist() == ["a", "b", "c"]
    assert placed.column("n").to_pylist() == [1, 1, 1]


def test_mysql_assigns_the_order_column_last_and_never_as_new() -> None:
    columns = Column("name", key_text(9), primary_key=True), Column("lsn", BigInteger), Column("n", BigInteger)
    statement = merge.upsert_sql(Table("t", MetaData(), *columns, info={"order": "lsn"}), "mysql")
    update = statement.partition("ON DUPLICATE KEY UPDATE ")[2]
    assert update.index(" lsn = CASE") > update.index("n = CASE")
    assert "AS new" not in statement
    assert "VALUES(n)" in update


@pytest.mark.parametrize(
    ("dialect", "text", "time"),
    [
        ("mysql", "hashtag VARCHAR(300) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL", "DATETIME(3)"),
        ("postgresql", "hashtag VARCHAR(300) NOT NULL", "TIMESTAMP WITH TIME ZONE"),
        ("sqlite", "hashtag VARCHAR(300) NOT NULL", "VARCHAR(24)"),
    ],
)
def test_columns_of_each_dialect(dialect: str, text: str, time: str) -> None:
    ddl = str(CreateTable(tables.hashtag_counts).compile(dialect=merge.DIALECTS[dialect]))
    assert text in ddl
    assert f"window_start {time} NOT NULL" in ddl
    assert "PRIMARY KEY (source, window_start, window_end, hashtag)" in ddl


def test_bulk_text_escapes_what_means_something() -> None:
    rows = pa.table({"a": ["x\ty", "\\N", None, "line\r\n"], "n": [1, None, 3, 4]})
    assert list(staging.as_text(rows)) == [b"x\\ty\t1\n\\\\N\t\\N\n\\N\t3\nline\\r\\n\t4\n"]


def test_bad_rows_are_named_and_the_others_kept() -> None:
    table = Table("t", MetaData(), Column("name", key_text(3), primary_key=True), Column("price", Money(5, 2)))
    rows = pa.table({"name": ["abc", "abcd", None, "n\0", "nan"], "price": [1.0, 1.0, 1.0, 1.0, float("nan")]})
    good, bad = sift(rows, table)
    assert good.column("name").to_pylist() == ["abc"]
    assert [str(fault) for fault, _ in bad] == [
        "1 rows for table t: name is NULL",
        "1 rows for table t: name holds a NUL character",
        "1 rows for table t: name is longer than 3 characters",
        "1 rows for table t: price is no finite number",
    ]
    assert all(isinstance(fault, BadRecord) for fault, _ in bad)


def test_times_fit_the_store() -> None:
    rows = pa.table({"at": pa.array([NOON + timedelta(microseconds=1999)], TIME)})
    assert settle_times(rows, "mysql")["at"].to_pylist() == [NOON + timedelta(milliseconds=1)]
    assert settle_times(rows, "postgresql")["at"].to_pylist() == [NOON + timedelta(microseconds=1999)]


def test_bulk_and_single_values_are_alike_in_sqlite(tmp_path: Path) -> None:
    table = Table("t", MetaData(), Column("at", Time(), primary_key=True), Column("price", Money(24, 10)))
    engine = database.connect(f"sqlite:///{tmp_path / 'new' / 'a.db'}")
    table.create(engine)
    moments = [NOON + timedelta(microseconds=1999), NOON]
    sql.store(engine, table, pa.table({"at": pa.array(moments[:1], TIME), "price": [Decimal("1.25")]}))
    with engine.begin() as connection:
        connection.execute(insert(table), [{"at": moments[1], "price": Decimal("1.25")}])
        assert connection.exec_driver_sql("SELECT at FROM t ORDER BY at").scalars().all() == [
            "2026-11-22T12:00:00.000Z",
            "2026-11-22T12:00:00.001Z",
        ]
        assert set(connection.execute(select(table.c.price)).scalars()) == {Decimal("1.25")}
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    engine.dispose()


def test_tables_and_views_that_change_have_another_version() -> None:
    """Else a store that is there keeps its views. A hash is replaced until its version is released, never after."""
    hashes = {1: "9063d0e86e5f7abd49e83f207cc1926bc9e0f01add239f19458298c54b002cb2"}
    assert hashlib.sha256(ddl.script().encode()).hexdigest() == hashes[tables.VERSION]


def test_two_processes_may_create_tables_at_once(tmp_path: Path) -> None:
    url, failures = f"sqlite:///{tmp_path / 'a.db'}", []

    def create() -> None:
        try:
            tables.create(url)
        except (Unavailable, ConfigError) as error:
            failures.append(error)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:s3cret@host:54x32/db",
        "mysql+nodriver://me:s3cret@host/db",
        "oracle://me:s3cret@host/db",
        "s3cret",
    ],
)
def test_wrong_url_is_told_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        database.connect(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_sqlite_that_is_locked_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(database.OPTIONS, "sqlite", {"timeout": 0.05})
    url, table = f"sqlite:///{tmp_path / 'a.db'}", ordered_table()
    holder, engine = database.connect(url), database.connect(url)
    table.create(holder)
    clock = iter(range(0, 1000, 50))
    patience = Patience(seconds=60, sleep=lambda _: None, clock=lambda: next(clock))
    with holder.begin(), pytest.raises(Unavailable, match="database is locked; gave up after 60 s"):
        sql.store(engine, table, ordered_rows([("a", 1, 1)]), patience=patience)
    sql.store(engine, table, ordered_rows([("a", 1, 1)]))
    holder.dispose()
    engine.dispose()


def test_pauses_grow_to_a_bound_and_end() -> None:
    now, pauses = [0.0], []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    def fail() -> None:
        raise Unavailable("gone")

    with pytest.raises(Unavailable, match="gone; gave up after 60 s"):
        Patience(seconds=60, sleep=sleep, clock=lambda: now[0], chance=lambda: 1.0).attempt(fail)
    assert pauses[:7] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0]
    assert max(pauses) == 10.0
    assert 50 < sum(pauses) <= 60


class Frame:
    """Stands for a DataFrame where a writer only persists it and collects its rows."""

    columns = ("text", "n")

    def __init__(self, *rows: tuple[Any, ...]) -> None:
        self.rows, self.held = rows, 0

    def persist(self) -> None:
        self.held += 1

    def unpersist(self) -> None:
        self.held -= 1

    def toArrow(self) -> pa.Table:
        return pa.table(dict(zip(self.columns, map(list, zip(*self.rows, strict=True)), strict=True)))


def test_together_lets_go_of_the_batch_when_one_fails() -> None:
    frame: Any = Frame()
    seen: list[int] = []

    def fail(_batch: Any, _id: int) -> None:
        assert frame.held == 1
        raise Unavailable("gone")

    with pytest.raises(Unavailable):
        together.together(lambda _, batch_id: seen.append(batch_id), fail, lambda *_: seen.append(-1))(frame, 4)
    assert (seen, frame.held) == ([4], 0)


def test_console_shows_hostile_text_harmlessly(capsys: pytest.CaptureFixture[str]) -> None:
    frame: Any = Frame(("\x1b[2Jx\r\n\u202eabc [red]é😀", None), ("second", 2), ("third", 3))
    console.show(rows=2)(frame, 7)
    shown = capsys.readouterr().out
    assert "\\x1b[2Jx\\r\\n\\u202eabc [red]é😀" in shown
    assert "\x1b" not in shown
    assert "batch 7" in shown
    assert "second" in shown
    assert "third" not in shown


def test_symbols_as_a_feed_lists_them_have_views_and_two_never_share_one(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    tables.create(url)
    listed = [
        "IC MARKETS:1",
        "HUOBI:btcusdt",
        "FXCM:EUR/USD",
        "M&M.NS",
        "BINANCE:币安人生USDT",
        "FOREX.COM:UK (Mini)",
    ]
    views = candles.register(url, names.symbol_topics(listed))
    row = {"resolution": "1m", "window_end": NOON, "open": 1, "high": 1, "low": 1, "close": 1, "volume": 0, "trades": 0,
           "complete": True, "updates": 0}  # fmt: skip
    engine = database.connect(url)
    with engine.begin() as connection:
        connection.execute(insert(tables.candles), [row | {"symbol": name, "window_start": NOON} for name in listed])
        queries = {name: text(f"SELECT symbol FROM {view}") for name, view in views.items()}
        found = {name: connection.execute(query).scalars().all() for name, query in queries.items()}
    engine.dispose()
    assert found == {name: [name] for name in listed}
    with pytest.raises(ConfigError, match="huobi_btcusdt, which is there already"):
        candles.register(url, {"HUOBI:BTCUSDT": "HUOBI_BTCUSDT"})
