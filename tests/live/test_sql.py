"""What the SQL stores keep beyond the contract of all sinks: transactions, bad rows, views, outages."""

import functools
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    MetaData,
    Table,
    event,
    inspect,
    make_url,
    select,
    text,
)
from tests.contract import COLUMNS, MINUTE, NOON, QUICK, batch, big_batch, own_database, row
from tests.proxy import through
from tests.support import wait

from millrace import explore
from millrace.errors import ConfigError, MillraceError, Unavailable
from millrace.kafka.results import Result
from millrace.sinks.retry import Patience
from millrace.sinks.sql import database, tables
from millrace.sinks.sql import writer as sql
from millrace.sinks.sql.statements import dialect_name
from millrace.sinks.sql.views import VIEWS
from millrace.sinks.together import Writer


class SqlStore:
    """A fresh table `contract` behind a SQLAlchemy URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.table = tables.define(Result("contract", COLUMNS, order="observed_at"), MetaData())
        self.engine = database.connect(url)
        self.table.drop(self.engine, checkfirst=True)
        self.table.create(self.engine)

    def writer(self, **options: Any) -> Writer:
        return sql.upsert(self.url, self.table, **options)

    def rows(self) -> dict[str, dict[str, Any]]:
        with self.engine.connect() as connection:
            found = connection.execute(select(self.table)).mappings().all()
        assert len({row["name"] for row in found}) == len(found)
        return {row["name"]: dict(row) for row in found}

    def close(self) -> None:
        self.engine.dispose()


STORES: dict[str, Callable[[pytest.FixtureRequest], SqlStore]] = {
    "sqlite": lambda request: SqlStore(f"sqlite:///{request.getfixturevalue('tmp_path') / 'new' / 'test.db'}"),
    "mysql": lambda request: _own(request.getfixturevalue("mysql").store_url("mysql")),
    "mariadb": lambda request: _own(request.getfixturevalue("mariadb")),
    "postgres": lambda request: _own(request.getfixturevalue("postgres").store_url("postgres")),
}
SERVERS = ["mysql", "mariadb", "postgres"]
servers = pytest.mark.parametrize("store", SERVERS, indirect=True)


@functools.cache
def _own_url(url: str) -> str:
    return own_database(url, "sinks_contract")


def _own(url: str) -> SqlStore:
    return SqlStore(_own_url(url))


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Iterator[SqlStore]:
    made = STORES[request.param](request)
    yield made
    made.close()


def test_what_no_store_can_hold_is_put_aside(spark: SparkSession, store: SqlStore) -> None:
    bad: dict[str, int] = {}
    rows = [
        row("good"),
        row(None),
        row("n\0ul"),
        row("x" * 301),
        row("note", note="n\0"),
        row("long note", note="x" * 301),
        row("dear", price="99999999999999.9999999999"),
        ("late", 1, None, None, None, datetime(9999, 12, 31, 23, tzinfo=UTC)),
    ]
    narrow = batch(spark, *rows).withColumn("price", F.when(F.col("name") == "dear", F.lit(10**15)).otherwise(1))
    store.writer(on_bad=lambda fault, lot: bad.update({str(fault): lot.num_rows}))(narrow, 0)
    assert set(store.rows()) == {"good"}
    assert sum(bad.values()) == 7
    assert any("name is NULL" in fault for fault in bad)
    assert any("note holds a NUL character" in fault for fault in bad)


def test_half_a_batch_is_never_seen(spark: SparkSession, store: SqlStore) -> None:
    statements: list[str] = []

    def fail_in_the_middle(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)
        if sum("INSERT" in each for each in statements) == 3:
            raise InterruptedError

    event.listen(store.engine, "before_cursor_execute", fail_in_the_middle)
    with pytest.raises(InterruptedError):
        sql.store(store.engine, store.table, big_batch(spark, 15_000).toArrow())
    event.remove(store.engine, "before_cursor_execute", fail_in_the_middle)
    assert _count(store) == 0


def test_table_that_does_not_fit_is_named(spark: SparkSession, store: SqlStore) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("ALTER TABLE contract RENAME COLUMN n TO m"))
    with pytest.raises(ConfigError, match=r"table contract in .* column"):
        store.writer()(batch(spark, row("a")), 0)


def test_trending_hashtags_counts_against_the_window_before(store: SqlStore) -> None:
    """Windows of another source or length do not count, a minute without posts is passed over."""
    counts = [
        ("here", 0, 1, "rise", 2),
        ("here", 0, 1, "fall", 6),
        ("here", 3, 1, "rise", 5),
        ("here", 3, 1, "fall", 2),
        ("here", 3, 1, "new", 2),
        ("here", 2, 5, "rise", 50),
        ("here", 3, 5, "rise", 60),
        ("there", 2, 1, "rise", 100),
    ]
    columns = tables.hashtag_counts.columns.keys()
    rows = [(s, NOON + m * MINUTE, NOON + (m + length) * MINUTE, tag, posts) for s, m, length, tag, posts in counts]
    _empty_hashtag_counts(store)
    facts = pa.Table.from_pylist([dict(zip(columns, each, strict=True)) for each in rows])
    sql.store(store.engine, tables.hashtag_counts, facts)
    stored = [Column(c.name, c.type) for c in tables.hashtag_counts.columns]
    computed = [Column(name, BigInteger) for name in ("previous", "change", "rank")]
    more = [Column("share", Float), Column("is_full", Boolean)]
    view = Table("trending_hashtags", MetaData(), *stored, *computed, *more)
    wanted = [view.c[name] for name in ("hashtag", "posts", "previous", "change", "rank", "is_full", "share")]
    with store.engine.connect() as connection:
        found = {
            (source, (start - NOON) // MINUTE, (end - start) // MINUTE, *rest, round(share, 4))
            for source, start, end, *rest, share in connection.execute(
                select(view.c.source, view.c.window_start, view.c.window_end, *wanted)
            )
        }
    assert found == {
        ("here", 0, 1, "fall", 6, 0, 6, 1, True, 0.75),
        ("here", 0, 1, "rise", 2, 0, 2, 2, True, 0.25),
        ("here", 3, 1, "rise", 5, 2, 3, 1, False, 0.5556),
        ("here", 3, 1, "fall", 2, 6, -4, 2, False, 0.2222),
        ("here", 3, 1, "new", 2, 0, 2, 2, False, 0.2222),
        ("here", 2, 5, "rise", 50, 0, 50, 1, False, 1.0),
        ("here", 3, 5, "rise", 60, 50, 10, 1, False, 1.0),
        ("there", 2, 1, "rise", 100, 0, 100, 1, False, 1.0),
    }


def test_views_and_notebooks_tell_full_windows_that_slide(
    store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ten minutes, a minute apart: three have ended when the newest begins, ten are filling."""
    rows = [{"source": "x", "window_start": NOON + n * MINUTE, "window_end": NOON + (n + 10) * MINUTE, "posts": n + 1}
            for n in range(13)]  # fmt: skip
    minutes = [row | {"window_end": row["window_start"] + MINUTE, "posts": 1} for row in rows]
    _empty_hashtag_counts(store)
    facts = {
        "hashtag_counts": [row | {"hashtag": "cat"} for row in rows],
        "language_counts": [row | {"language": "en"} for row in rows],
        "author_counts": [row | {"author": "ann"} for row in rows],
        "dashboard_windows": [
            row | {"authors": 1, "bots": 0, "average_score": 1.0, "top_language": "en"} for row in minutes
        ],
    }
    for name, found in facts.items():
        sql.store(store.engine, tables.metadata.tables[name], pa.Table.from_pylist(found))
    views = {"trending_hashtags": 3, "language_shares": 3, "most_active_authors": 3, "minute_dashboard": 12}
    with store.engine.connect() as connection:
        for view, full in views.items():
            query = text(f"SELECT COUNT(*) FROM {view} WHERE is_full AND source = 'x'")
            assert connection.scalar(query) == full, view
    kind = dialect_name(store.engine.dialect.name).replace("postgresql", "postgres")
    monkeypatch.setenv(f"MILLRACE_{kind.upper()}_URL", store.url)
    monkeypatch.setenv("MILLRACE_HOME", str(tmp_path))
    for name in ("hashtag_counts", "trending_hashtags"):
        found = explore.table(name, kind, full=True)
        found = found[found["source"] == "x"]
        assert list(found["posts"]) == [3, 2, 1] and found["window_end"].max() == NOON + 12 * MINUTE
    assert len(explore.table("hashtag_counts", kind, limit=5)) == 5


def _empty_hashtag_counts(store: SqlStore) -> None:
    tables.create(store.url)
    with store.engine.begin() as connection:
        connection.execute(tables.hashtag_counts.delete())


def _drop_all(store: SqlStore) -> None:
    with store.engine.begin() as connection:
        for view in VIEWS:
            connection.execute(text(f"DROP VIEW IF EXISTS {view}"))
        tables.metadata.drop_all(connection)


def test_tables_created_by_several_at_once(store: SqlStore) -> None:
    _drop_all(store)
    failures: list[MillraceError] = []

    def create() -> None:
        try:
            tables.create(store.url)
        except MillraceError as error:
            failures.append(error)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    with store.engine.connect() as connection:
        for view in VIEWS:
            assert connection.execute(text(f"SELECT count(*) FROM {view}")).scalar() == 0
    assert [index["name"] for index in inspect(store.engine).get_indexes("hashtag_counts")] == [
        "hashtag_counts_window_start"
    ]


STOPPED = {  # whether the second one waits: for the first, or to insert a row that the first did
    "mysql": "SELECT count(*) FROM information_schema.processlist WHERE lower(state) IN ('user lock', 'update')",
    "postgresql": "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
}


@servers
def test_who_makes_tables_waits_until_another_has_committed(store: SqlStore) -> None:
    """Else it does not see what the other inserted, and inserts it again."""
    _drop_all(store)
    failures: list[MillraceError] = []
    stopped = text(STOPPED[dialect_name(store.engine.dialect.name)])

    def create() -> None:
        try:
            tables.create(store.url)
        except MillraceError as error:
            failures.append(error)

    second = threading.Thread(target=create)

    def is_stopped() -> bool:
        with store.engine.connect() as connection:
            return bool(connection.scalar(stopped))

    def before_commit(_: Connection) -> None:
        if not second.ident:
            second.start()
            wait(is_stopped, "second one that waits")

    event.listen(Engine, "commit", before_commit)
    try:
        tables.create(store.url)
    finally:
        event.remove(Engine, "commit", before_commit)
    second.join(60)
    assert failures == []


VICTIM = """
import sys, time
from datetime import UTC, datetime
import pyarrow as pa
from sqlalchemy import event
from millrace.kafka.results import Result
from millrace.sinks.sql import database, tables, writer

url, size = sys.argv[1], int(sys.argv[2])
engine = database.connect(url)

@event.listens_for(engine, "commit")
def _(connection):
    print("inside", flush=True)
    time.sleep(600)

start = pa.scalar(datetime(2026, 11, 22, 12, tzinfo=UTC), pa.timestamp("us", "UTC"))
end = pa.scalar(datetime(2026, 11, 22, 12, 1, tzinfo=UTC), pa.timestamp("us", "UTC"))
rows = pa.table({
    "source": ["killed"] * size, "window_start": [start] * size, "window_end": [end] * size,
    "hashtag": [f"tag{i}" for i in range(size)], "posts": [1] * size,
})
writer.store(engine, tables.hashtag_counts, rows)
"""


@pytest.mark.parametrize(
    ("store", "size"),
    [("sqlite", 30_000), *((server, size) for server in SERVERS for size in (1_000, 30_000))],
    indirect=["store"],
)
def test_writer_killed_before_its_commit(store: SqlStore, size: int) -> None:
    _empty_hashtag_counts(store)
    command = [sys.executable, "-c", VICTIM, store.url, str(size)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout
        assert victim.stdout.readline() == "inside\n"
        victim.send_signal(signal.SIGKILL)
    assert _killed_rows(store) == 0
    one = {"source": "killed", "window_start": NOON, "window_end": NOON + MINUTE, "posts": 1}
    replayed = pa.Table.from_pylist([{**one, "hashtag": f"tag{i}"} for i in range(size)])
    sql.store(store.engine, tables.hashtag_counts, replayed)
    assert _killed_rows(store) == size


def _killed_rows(store: SqlStore) -> int:
    with store.engine.connect() as connection:
        return connection.execute(text("SELECT count(*) FROM hashtag_counts WHERE source = 'killed'")).scalar()


@servers
def test_server_that_goes_and_comes_back(spark: SparkSession, store: SqlStore, proxy: Any) -> None:
    link, url = through(store.url, proxy)
    write = sql.upsert(url, store.table, patience=QUICK)
    write(batch(spark, row("a", 1)), 0)
    link.cut()
    pauses: list[float] = []

    def back_after_three(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            link.restore()

    patient = Patience(seconds=60, sleep=back_after_three, chance=lambda: 0.0)
    rows = pa.Table.from_pylist([dict(zip(store.table.columns.keys(), row("a", 2, 1), strict=True))])
    engine = database.connect(url)
    sql.store(engine, store.table, rows, patience=patient)
    engine.dispose()
    assert pauses == [0.1, 0.2, 0.4]
    assert store.rows()["a"]["n"] == 2
    write(batch(spark, row("a", 3, 2)), 2)  # a writer whose connection was lost meanwhile
    assert store.rows()["a"]["n"] == 3


@servers
@pytest.mark.parametrize("size", [1_000, 30_000])
def test_connection_lost_inside_the_transaction(spark: SparkSession, store: SqlStore, proxy: Any, size: int) -> None:
    """The server hears nothing of a commit, so nothing is stored; the second attempt stores all."""
    link, url = through(store.url, proxy)
    engine = database.connect(url)
    attempts: list[int] = []

    def lose_the_first(connection: Any) -> None:
        attempts.append(_count(store))
        if len(attempts) == 1:
            link.cut()

    event.listen(engine, "commit", lose_the_first)
    rows = big_batch(spark, size).toArrow()
    sql.store(
        engine,
        store.table,
        rows,
        patience=Patience(seconds=60, sleep=lambda _: link.restore(), chance=lambda: 0.0),
    )
    engine.dispose()
    assert attempts == [0, 0]
    assert _count(store) == size


IMPATIENT = {"postgresql": "SET lock_timeout = '1s'", "mysql": "SET SESSION innodb_lock_wait_timeout = 1"}


@servers
@pytest.mark.parametrize("size", [1_000, 30_000])
def test_a_batch_that_waits_for_a_lock_too_long_is_written_later(
    spark: SparkSession, store: SqlStore, size: int
) -> None:
    """Nothing of the first try, such as a temporary table, is in the way of the second."""
    rows = big_batch(spark, size).toArrow()
    sql.store(store.engine, store.table, rows.slice(0, 1))
    engine = database.connect(store.url)
    setting = IMPATIENT[dialect_name(engine.dialect.name)]
    event.listen(engine, "connect", lambda connection, _: _execute(connection, setting))
    blocker = store.engine.connect()
    blocker.execute(store.table.update().values(n=0))  # not committed: the row stays locked
    waits: list[float] = []

    def let_go(seconds: float) -> None:
        waits.append(seconds)
        blocker.rollback()

    try:
        patience = Patience(seconds=60, sleep=let_go, chance=lambda: 0.0)
        sql.store(engine, store.table, rows, patience=patience)
    finally:
        blocker.close()
        engine.dispose()
    assert len(waits) == 1
    assert _count(store) == size


@pytest.mark.parametrize("store", ["mysql"], indirect=True)
def test_a_server_that_wants_a_primary_key_takes_big_batches(spark: SparkSession, store: SqlStore) -> None:
    engine = database.connect(store.url)
    event.listen(engine, "connect", lambda connection, _: _execute(connection, "SET sql_require_primary_key = ON"))
    sql.store(engine, store.table, big_batch(spark, 30_000).toArrow(), patience=QUICK)
    engine.dispose()
    assert _count(store) == 30_000


def _execute(connection: Any, statement: str) -> None:
    cursor = connection.cursor()
    cursor.execute(statement)
    cursor.close()


def _count(store: SqlStore) -> int:
    with store.engine.connect() as connection:
        return connection.execute(text("SELECT count(*) FROM contract")).scalar()


@servers
@pytest.mark.parametrize("size", [1_000, 30_000])
def test_server_that_hangs(spark: SparkSession, store: SqlStore, proxy: Any, size: int) -> None:
    link, url = through(store.url, proxy)
    engine = database.connect(url)
    hung = threading.Event()
    event.listen(engine, "commit", lambda _: (link.hang(), hung.set()))
    rows = big_batch(spark, size).toArrow()
    writer = threading.Thread(target=sql.store, args=(engine, store.table, rows))
    writer.start()
    assert hung.wait(60)
    writer.join(1)
    assert writer.is_alive()
    assert _count(store) == 0
    link.flow()
    writer.join(60)
    engine.dispose()
    assert _count(store) == size


@pytest.mark.parametrize("store", ["mysql", "mariadb"], indirect=True)
def test_server_that_never_answers(
    spark: SparkSession, store: SqlStore, proxy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that vanished says nothing more: it is given up, and the batch is written anew.

    By another connection: what the old one may still be told would be taken for the answer to another question.
    """
    monkeypatch.setitem(database.OPTIONS, "mysql", database.OPTIONS["mysql"] | {"read_timeout": 1})
    link, url = through(store.url, proxy)
    engine = database.connect(url)
    used: list[int] = []

    def lose_the_first_answer(connection: Any) -> None:
        used.append(connection.connection.dbapi_connection.connection_id)
        if len(used) == 1:
            link.hang()

    event.listen(engine, "commit", lose_the_first_answer)
    event.listen(engine, "handle_error", lambda _: link.flow())  # it was only slow, after all
    rows = big_batch(spark, 1_000).toArrow()
    sql.store(engine, store.table, rows, patience=Patience(seconds=60, sleep=lambda _: None, chance=lambda: 0.0))
    engine.dispose()
    assert len(used) == len(set(used)) == 2
    assert _count(store) == 1_000


@servers
def test_server_that_stays_away(spark: SparkSession, store: SqlStore, proxy: Any) -> None:
    link, url = through(store.url, proxy)
    link.cut()
    clock = iter(range(0, 1000, 10))
    patience = Patience(seconds=60, sleep=lambda _: None, clock=lambda: next(clock))
    with pytest.raises(Unavailable, match=f"127.0.0.1:{link.port}.*gave up after 60 s") as caught:
        sql.upsert(url, store.table, patience=patience)(batch(spark, row("a")), 0)
    _no_secret(caught.value, store.url)


@servers
def test_wrong_password_is_told_without_it(spark: SparkSession, store: SqlStore) -> None:
    url = make_url(store.url).set(password="wr0ng-s3cret").render_as_string(hide_password=False)
    with pytest.raises(ConfigError, match="user") as caught:
        sql.upsert(url, store.table)(batch(spark, row("a")), 0)
    _no_secret(caught.value, url)
    assert make_url(url).host in str(caught.value)
    assert make_url(url).username in str(caught.value)


@servers
def test_two_writers_of_the_same_rows_do_not_lose_any(store: SqlStore) -> None:
    columns = store.table.columns.keys()
    rows = [row(f"tag{i}", 1) for i in range(3_000)]
    table = pa.Table.from_pylist([dict(zip(columns, each, strict=True)) for each in rows])
    failures: list[BaseException] = []

    def work() -> None:
        engine = database.connect(store.url)
        try:
            for _ in range(3):
                sql.store(engine, store.table, table, patience=QUICK)
        except MillraceError as error:
            failures.append(error)
        finally:
            engine.dispose()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert failures == []
    assert _count(store) == 3_000


def _no_secret(error: BaseException, url: str) -> None:
    password = make_url(url).password
    seen: BaseException | None = error
    while seen:
        assert password not in str(seen)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
