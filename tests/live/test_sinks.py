"""The contract that every sink keeps, on real servers. A new sink adds one entry to STORES."""

import functools
import json
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from elasticsearch import helpers
from kafka import KafkaConsumer, TopicPartition
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    MetaData,
    String,
    Table,
    event,
    inspect,
    make_url,
    select,
    text,
)
from tests.proxy import through
from tests.support import new_topic

from millrace.config import Settings
from millrace.errors import ConfigError, MillraceError, Unavailable
from millrace.kafka import topics
from millrace.sinks.elasticsearch import cluster, indices
from millrace.sinks.elasticsearch import writer as elasticsearch
from millrace.sinks.kafka import publish
from millrace.sinks.retry import Patience
from millrace.sinks.sql import database, tables
from millrace.sinks.sql import writer as sql
from millrace.sinks.sql.columns import Money, Time, key_text
from millrace.sinks.sql.views import VIEWS
from millrace.sinks.together import Writer, together

MINUTE = timedelta(minutes=1)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SCHEMA = "name string, n long, price decimal(24,10), note string, done boolean, observed_at timestamp"
QUICK = Patience(seconds=60, sleep=threading.Event().wait, chance=lambda: 0.0)

# Each of them is a key of its own, and none is anything but text.
HOSTILE = [
    "cafe", "café", "cafe\u0301", "CAFE", "ß", "ss", "i", "İ", "ı",
    "😀", "😁", "👩‍👩‍👧", "🇩🇪", "مرحبا", "עברית", "\u202eabc", "日本語", "ﷺ", "\U0001f9ff",
    "x'); DROP TABLE contract;--", "`name`", '"name"', "$where", "../..", "%s", "%(name)s", ":name", "?",
    "{0}", "\\", "\\N", "\\n", "a\tb", "a\nb", "a\r\nb", "NULL", "null", "", "\x1b[2J", "#",
    "é" * 300, "😀" * 300,
]  # fmt: skip


def contract_table() -> Table:
    return Table(
        "contract",
        MetaData(),
        Column("name", key_text(300), primary_key=True),
        Column("n", BigInteger),
        Column("price", Money(24, 10)),
        Column("note", String(300)),
        Column("done", Boolean),
        Column("observed_at", Time()),
        info={"order": "observed_at"},
        mysql_charset="utf8mb4",
    )


class SqlStore:
    """A fresh table `contract` behind a SQLAlchemy URL."""

    def __init__(self, url: str) -> None:
        self.url, self.table = url, contract_table()
        self.engine = database.connect(url)
        self.table.drop(self.engine, checkfirst=True)
        self.table.create(self.engine)

    def writer(self, **options: Any) -> Writer:
        return sql.upsert(self.url, self.table, **options)

    def holds(self, name: str) -> bool:
        return True

    def rows(self) -> dict[str, dict[str, Any]]:
        with self.engine.connect() as connection:
            found = connection.execute(select(self.table)).mappings().all()
        assert len({row["name"] for row in found}) == len(found)
        return {row["name"]: dict(row) for row in found}

    def close(self) -> None:
        self.engine.dispose()


class KafkaStore:
    """A fresh topic; a key's row is its last record."""

    def __init__(self, settings: Settings) -> None:
        self.bootstrap = settings.kafka_bootstrap
        self.topic = topics.Topic(f"contract-{uuid.uuid4().hex[:8]}", key="name", schema="contract.v1")
        topics.create(self.bootstrap, [self.topic], 2)

    def writer(self) -> Writer:
        return publish(self.topic, ["name"], self.bootstrap)

    def holds(self, name: str) -> bool:
        return True

    def records(self) -> list[Any]:
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        parts = [TopicPartition(self.topic.name, number) for number in range(2)]
        consumer.assign(parts)
        ends, found = consumer.end_offsets(parts), []
        while any(consumer.position(part) < ends[part] for part in parts):
            found += [record for batch in consumer.poll(1000).values() for record in batch]
        consumer.close()
        return found

    def rows(self) -> dict[str, dict[str, Any]]:
        return {record.key.decode(): _typed(json.loads(record.value, parse_float=Decimal)) for record in self.records()}

    def close(self) -> None:
        pass


class ElasticsearchStore:
    """A fresh index behind a URL; what it refused is in `letters`."""

    def __init__(self, url: str) -> None:
        columns = {"name": "keyword", "n": "long", "price": "double", "note": "keyword", "done": "boolean"}
        properties = {name: {"type": kind} for name, kind in {**columns, "observed_at": "date"}.items()}
        self.url, self.client = url, cluster.connect(url)
        self.index = indices.Index(f"contract-{uuid.uuid4().hex[:8]}", ("name",), "observed_at", properties)
        self.letters: list[dict[str, Any]] = []
        indices.create(url, self.index)

    def writer(self, **options: Any) -> Writer:
        return elasticsearch.index(self.url, self.index, **{"refused": self.refuse, **options})

    def refuse(self, batch: DataFrame, _: int) -> None:
        self.letters += batch.toArrow().to_pylist()

    def holds(self, name: str) -> bool:
        return 0 < len(name.encode()) <= 512

    def rows(self) -> dict[str, dict[str, Any]]:
        self.client.indices.refresh(index=self.index.name)
        found = {hit["_id"]: hit["_source"] for hit in helpers.scan(self.client, index=self.index.name, size=10_000)}
        for id, source in found.items():
            stamp = datetime.fromisoformat(source.pop("indexed_at"))
            assert abs(datetime.now(UTC) - stamp) < timedelta(minutes=10) and source["name"] == id
            source["price"] = None if source["price"] is None else str(source["price"])
        return {id: _typed(source) for id, source in found.items()}

    def close(self) -> None:
        self.client.indices.delete(index=self.index.name)
        self.client.indices.delete_index_template(name=self.index.name)


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    seen = row["observed_at"]
    price = row["price"]
    return row | {
        "observed_at": seen and datetime.fromisoformat(seen),
        "price": None if price is None else Decimal(price),
    }


@functools.cache
def _own_database(url: str) -> str:
    """Make a database on the shared server where nobody else's tables are."""
    engine = database.connect(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("DROP DATABASE IF EXISTS sinks_contract"))
        connection.execute(text("CREATE DATABASE sinks_contract"))
    engine.dispose()
    return make_url(url).set(database="sinks_contract").render_as_string(hide_password=False)


STORES: dict[str, Callable[[pytest.FixtureRequest], Any]] = {
    "sqlite": lambda request: SqlStore(f"sqlite:///{request.getfixturevalue('tmp_path') / 'new' / 'test.db'}"),
    "mysql": lambda request: SqlStore(_own_database(request.getfixturevalue("mysql").store_url("mysql"))),
    "mariadb": lambda request: SqlStore(_own_database(request.getfixturevalue("mariadb"))),
    "postgres": lambda request: SqlStore(_own_database(request.getfixturevalue("postgres").store_url("postgres"))),
    "kafka": lambda request: KafkaStore(request.getfixturevalue("kafka")),
    "elasticsearch": lambda request: ElasticsearchStore(
        request.getfixturevalue("elasticsearch").store_url("elasticsearch")
    ),
}
RELATIONAL = ["sqlite", "mysql", "mariadb", "postgres"]
UPSERTING = [*RELATIONAL, "elasticsearch"]
SERVERS = ["mysql", "mariadb", "postgres"]
relational = pytest.mark.parametrize("store", RELATIONAL, indirect=True)
upserting = pytest.mark.parametrize("store", UPSERTING, indirect=True)
servers = pytest.mark.parametrize("store", SERVERS, indirect=True)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Iterator[Any]:
    made = STORES[request.param](request)
    yield made
    made.close()


def row(name: str | None, n: int | None = 1, seconds: float = 0, price: str = "1.5", note: str | None = "x") -> tuple:
    return name, n, Decimal(price), note, True, NOON + timedelta(seconds=seconds)


def batch(spark: SparkSession, *rows: tuple) -> DataFrame:
    return spark.createDataFrame(list(rows), SCHEMA)


def big_batch(spark: SparkSession, size: int, n: int = 7) -> DataFrame:
    return spark.range(size).select(
        F.concat(F.lit("tag\t\\é"), "id").alias("name"),
        F.lit(n).cast("long").alias("n"),
        F.lit("12345.678").cast("decimal(24,10)").alias("price"),
        F.when(F.col("id") % 2 == 0, "even").alias("note"),
        (F.col("id") % 2 == 0).alias("done"),
        F.lit(NOON).alias("observed_at"),
    )


def test_values_read_back_equal(spark: SparkSession, store: Any) -> None:
    seen = NOON + timedelta(milliseconds=123)
    rows = [
        ("full", 2**63 - 1, Decimal("12345.0000000001"), "text", True, seen),
        ("low", -(2**63), Decimal("-99999.9999999999"), "", False, datetime(1970, 1, 1, tzinfo=UTC)),
        ("none", None, None, None, None, None),
    ]
    store.writer()(batch(spark, *rows), 0)
    found = store.rows()
    assert [tuple(found[name].values()) for name in ("full", "low", "none")] == rows


def test_hostile_text_is_a_key_like_any_other(spark: SparkSession, store: Any) -> None:
    rows = [row(name, n, note=name) for n, name in enumerate(HOSTILE)]
    store.writer()(batch(spark, *rows), 0)
    assert {name: (found["n"], found["note"]) for name, found in store.rows().items()} == {
        name: (n, name) for n, name in enumerate(HOSTILE) if store.holds(name)
    }


def test_replayed_batch_changes_nothing(spark: SparkSession, store: Any) -> None:
    rows, write = batch(spark, row("a", 1), row("b", 2)), store.writer()
    write(rows, 5)
    before = store.rows()
    write(rows, 5)
    store.writer()(rows, 5)
    assert store.rows() == before
    assert len(before) == 2


def test_later_batch_replaces(spark: SparkSession, store: Any) -> None:
    write = store.writer()
    write(batch(spark, row("a", 1), row("b", 1)), 0)
    write(batch(spark, row("a", 2, seconds=1)), 1)
    assert {name: found["n"] for name, found in store.rows().items()} == {"a": 2, "b": 1}


def test_empty_batch(spark: SparkSession, store: Any) -> None:
    store.writer()(batch(spark), 0)
    assert store.rows() == {}


def test_big_batch(spark: SparkSession, store: Any) -> None:
    store.writer()(big_batch(spark, 50_000), 0)
    found = store.rows()
    assert len(found) == 50_000
    expected = [7, Decimal("12345.678"), None, False, NOON]
    assert list(found["tag\t\\é49999"].values())[1:] == expected


def test_together_with_another(spark: SparkSession, store: Any) -> None:
    seen: list[int] = []
    together(store.writer(), lambda rows, _: seen.append(rows.count()))(batch(spark, row("a"), row("b")), 0)
    assert seen == [2]
    assert set(store.rows()) == {"a", "b"}


def test_missing_column_is_named(spark: SparkSession, store: Any) -> None:
    with pytest.raises(ConfigError, match="name"):
        store.writer()(batch(spark, row("a")).drop("name"), 0)


@upserting
def test_one_key_twice_in_a_batch_keeps_the_newest(spark: SparkSession, store: Any) -> None:
    rows = [row("a", 1, 5), row("a", 2, 9), row("a", 3, 7), row("b", 1), row("b", 2)]
    store.writer()(batch(spark, *rows).coalesce(1), 0)
    assert {name: found["n"] for name, found in store.rows().items()} == {"a": 2, "b": 2}


@upserting
def test_older_never_overwrites_newer(spark: SparkSession, store: Any) -> None:
    write = store.writer()
    write(batch(spark, row("a", 1, seconds=10), row("b", 1, seconds=10)), 0)
    write(batch(spark, row("a", 2, seconds=9, note="old"), row("b", 2, seconds=11)), 1)
    found = store.rows()
    assert (found["a"]["n"], found["a"]["note"], found["a"]["observed_at"]) == (
        1,
        "x",
        NOON + timedelta(seconds=10),
    )
    assert (found["b"]["n"], found["b"]["observed_at"]) == (2, NOON + timedelta(seconds=11))


@upserting
def test_older_never_overwrites_newer_in_big_batches(spark: SparkSession, store: Any) -> None:
    write = store.writer()
    write(batch(spark, row("tag\t\\é7", 1, seconds=1), row("tag\t\\é8", 1, seconds=-1)), 0)
    write(big_batch(spark, 25_000), 1)
    found = store.rows()
    assert (found["tag\t\\é7"]["n"], found["tag\t\\é8"]["n"], len(found)) == (1, 7, 25_000)


@relational
def test_what_no_store_can_hold_is_put_aside(spark: SparkSession, store: Any) -> None:
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


@relational
def test_half_a_batch_is_never_seen(spark: SparkSession, store: Any) -> None:
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


@relational
def test_table_that_does_not_fit_is_named(spark: SparkSession, store: Any) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("ALTER TABLE contract RENAME COLUMN n TO m"))
    with pytest.raises(ConfigError, match=r"table contract in .* column"):
        store.writer()(batch(spark, row("a")), 0)


@relational
def test_trending_hashtags_counts_against_the_window_before(store: Any) -> None:
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
    view = Table("trending_hashtags", MetaData(), *stored, *computed, Column("share", Float))
    wanted = [view.c[name] for name in ("hashtag", "posts", "previous", "change", "rank", "share")]
    with store.engine.connect() as connection:
        found = {
            (source, (start - NOON) // MINUTE, (end - start) // MINUTE, *rest, round(share, 4))
            for source, start, end, *rest, share in connection.execute(
                select(view.c.source, view.c.window_start, view.c.window_end, *wanted)
            )
        }
    assert found == {
        ("here", 0, 1, "fall", 6, 0, 6, 1, 0.75),
        ("here", 0, 1, "rise", 2, 0, 2, 2, 0.25),
        ("here", 3, 1, "rise", 5, 2, 3, 1, 0.5556),
        ("here", 3, 1, "fall", 2, 6, -4, 2, 0.2222),
        ("here", 3, 1, "new", 2, 0, 2, 2, 0.2222),
        ("here", 2, 5, "rise", 50, 0, 50, 1, 1.0),
        ("here", 3, 5, "rise", 60, 50, 10, 1, 1.0),
        ("there", 2, 1, "rise", 100, 0, 100, 1, 1.0),
    }


def _empty_hashtag_counts(store: Any) -> None:
    tables.create(store.url)
    with store.engine.begin() as connection:
        connection.execute(tables.hashtag_counts.delete())


@relational
def test_tables_created_by_several_at_once(store: Any) -> None:
    with store.engine.begin() as connection:
        for view in VIEWS:
            connection.execute(text(f"DROP VIEW IF EXISTS {view}"))
        tables.metadata.drop_all(connection)
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


VICTIM = """
import sys, time
from datetime import UTC, datetime
import pyarrow as pa
from sqlalchemy import event
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
def test_writer_killed_before_its_commit(store: Any, size: int) -> None:
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


def _killed_rows(store: Any) -> int:
    with store.engine.connect() as connection:
        return connection.execute(text("SELECT count(*) FROM hashtag_counts WHERE source = 'killed'")).scalar()


@servers
def test_server_that_goes_and_comes_back(spark: SparkSession, store: Any, proxy: Any) -> None:
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
def test_connection_lost_inside_the_transaction(spark: SparkSession, store: Any, proxy: Any, size: int) -> None:
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


def _count(store: Any) -> int:
    with store.engine.connect() as connection:
        return connection.execute(text("SELECT count(*) FROM contract")).scalar()


@servers
@pytest.mark.parametrize("size", [1_000, 30_000])
def test_server_that_hangs(spark: SparkSession, store: Any, proxy: Any, size: int) -> None:
    link, url = through(store.url, proxy)
    engine = database.connect(url)
    event.listen(engine, "commit", lambda _: link.hang())
    rows = big_batch(spark, size).toArrow()
    writer = threading.Thread(target=sql.store, args=(engine, store.table, rows))
    writer.start()
    writer.join(2)
    assert writer.is_alive()
    assert _count(store) == 0
    link.flow()
    writer.join(60)
    engine.dispose()
    assert _count(store) == size


@pytest.mark.parametrize("store", ["mysql", "mariadb"], indirect=True)
def test_server_that_never_answers(
    spark: SparkSession, store: Any, proxy: Any, monkeypatch: pytest.MonkeyPatch
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
def test_server_that_stays_away(spark: SparkSession, store: Any, proxy: Any) -> None:
    link, url = through(store.url, proxy)
    link.cut()
    clock = iter(range(0, 1000, 10))
    patience = Patience(seconds=60, sleep=lambda _: None, clock=lambda: next(clock))
    with pytest.raises(Unavailable, match=f"127.0.0.1:{link.port}.*gave up after 60 s") as caught:
        sql.upsert(url, store.table, patience=patience)(batch(spark, row("a")), 0)
    _no_secret(caught.value, store.url)


@servers
def test_wrong_password_is_told_without_it(spark: SparkSession, store: Any) -> None:
    url = make_url(store.url).set(password="wr0ng-s3cret").render_as_string(hide_password=False)
    with pytest.raises(ConfigError, match="user") as caught:
        sql.upsert(url, store.table)(batch(spark, row("a")), 0)
    _no_secret(caught.value, url)
    assert make_url(url).host in str(caught.value)
    assert make_url(url).username in str(caught.value)


@servers
def test_two_writers_of_the_same_rows_do_not_lose_any(store: Any) -> None:
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


@pytest.mark.parametrize("store", ["kafka"], indirect=True)
def test_kafka_records_carry_headers_and_exact_times(spark: SparkSession, store: KafkaStore) -> None:
    spark.conf.set("spark.sql.session.timeZone", "Asia/Kolkata")
    try:
        before = datetime.now(UTC)
        publish(store.topic, ["name", "observed_at"], store.bootstrap)(batch(spark, row("a")), 0)
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
    (record,) = store.records()
    headers = dict(record.headers)
    assert json.loads(record.key) == {"name": "a", "observed_at": "2026-11-22T12:00:00.000000Z"}
    assert json.loads(record.value)["observed_at"] == "2026-11-22T12:00:00.000000Z"
    assert headers["schema"] == b"contract.v1"
    assert abs(datetime.fromisoformat(headers["ingested_at"].decode()) - before) < timedelta(minutes=1)


def test_kafka_topic_that_does_not_exist(spark: SparkSession, kafka: Settings) -> None:
    write = publish("no-such-topic", ["name"], kafka.kafka_bootstrap, {"kafka.max.block.ms": "2000"})
    with pytest.raises(Unavailable, match="no-such-topic"):
        write(batch(spark, row("a")), 0)


def test_a_query_that_fails_is_not_blamed_on_kafka(spark: SparkSession, kafka: Settings) -> None:
    topic = new_topic(kafka.kafka_bootstrap)
    rows = spark.range(3).select(F.col("id").cast("string"), F.expr("1 div (id - 1)").alias("n"))
    with pytest.raises(PySparkException, match="DIVIDE_BY_ZERO"):
        publish(topic, ["id"], kafka.kafka_bootstrap)(rows, 0)


def _no_secret(error: BaseException, url: str) -> None:
    password = make_url(url).password
    seen: BaseException | None = error
    while seen:
        assert password not in str(seen)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
