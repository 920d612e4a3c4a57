"""What the ClickHouse sink keeps beyond the contract of all sinks, on a real server."""

import base64
import json
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic import SecretStr
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from tests.contract import NOON, QUICK, STORES, Store, batch, big_batch, row
from tests.proxy import Proxy, through

from millrace import config, explore
from millrace.config import Settings
from millrace.errors import ConfigError, MillraceError, Unavailable
from millrace.kafka import browse, letters, results
from millrace.kafka.topics import DEAD_LETTERS
from millrace.sinks import registry
from millrace.sinks.clickhouse import candles, client, tables
from millrace.sinks.clickhouse import writer as sink
from millrace.sinks.kafka import publish
from millrace.sinks.retry import Patience
from millrace.sinks.sink import Target
from millrace.sinks.together import Writer
from millrace.stack import clickhouse as server
from millrace.stack import process

MINUTE = timedelta(minutes=1)
NAN, INFINITY = float("nan"), float("inf")
CONSTRAINT = "CONSTRAINT small CHECK n < 100"


class ClickStore(Store):
    """A fresh table; what was refused is in `letters`."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(STORES["clickhouse"], settings)
        self.url = settings.store_url("clickhouse")
        self.table = tables.storage(self.result)
        self.letters: list[dict[str, Any]] = []

    def direct(self, url: str = "", **options: Any) -> Writer:
        return sink.insert(url or self.url, self.result, **{"refused": self.refuse, **options})

    def refuse(self, batch: DataFrame, _: int) -> None:
        self.letters += batch.toArrow().to_pylist()

    def ask(self, query: str) -> Any:
        return client.connect(self.url).query(query).result_rows

    def command(self, statement: str) -> None:
        client.connect(self.url).command(statement)

    def made(self) -> "ClickStore":
        tables.create(self.url, self.result)
        return self


@pytest.fixture
def store(clickhouse: Settings) -> Iterator[ClickStore]:
    made = ClickStore(clickhouse)
    yield made
    made.command(f"DROP VIEW IF EXISTS {made.result.name}")
    made.command(f"DROP TABLE IF EXISTS {made.table}")


def test_people_see_one_row_a_key(spark: SparkSession, store: ClickStore) -> None:
    write = store.writer()
    for n in range(3):
        write(batch(spark, row("a", n, seconds=n), row("b", n, seconds=-n)), n)
    seen = store.ask(f"SELECT * FROM {store.result.name} ORDER BY name")
    assert [(name, n) for name, n, *_ in seen] == [("a", 2), ("b", 0)]
    assert len(store.ask(f"SELECT * FROM {store.table}")) > 2  # nothing is merged for that


def test_columns_have_exact_types(store: ClickStore) -> None:
    columns = store.made().ask(f"DESCRIBE TABLE {store.result.name}")
    assert [found[:2] for found in columns] == [
        ("name", "String"),
        ("n", "Nullable(Int64)"),
        ("price", "Nullable(Decimal(24, 10))"),
        ("note", "Nullable(String)"),
        ("done", "Nullable(Bool)"),
        ("observed_at", "Nullable(DateTime64(6, 'UTC'))"),
    ]


def test_microseconds_order_rows(spark: SparkSession, store: ClickStore) -> None:
    write = store.writer()
    write(batch(spark, row("a", 1, 0.000002)), 0)
    write(batch(spark, row("a", 2, 0.000001)), 1)
    assert store.rows()["a"]["n"] == 1
    assert store.rows()["a"]["observed_at"] == NOON + timedelta(microseconds=2)


def test_of_equals_the_last_written_stays(spark: SparkSession, store: ClickStore) -> None:
    write = store.writer()
    for n in range(5):
        write(batch(spark, row("a", n), row("a", n + 10)).coalesce(1), n)
        assert store.rows()["a"]["n"] == n + 10
        write(batch(spark, row("a", n)), n)
        assert store.rows()["a"]["n"] == n
    store.command(f"OPTIMIZE TABLE {store.table} FINAL")
    assert store.rows()["a"]["n"] == 4


def test_a_block_that_comes_again_is_stored_again(spark: SparkSession, store: ClickStore) -> None:
    """Servers with replicas leave out a block that they have had, but others may have come between."""
    store.made().command(f"ALTER TABLE {store.table} MODIFY SETTING non_replicated_deduplication_window = 100")
    write = store.direct()
    for n in (1, 2, 1):
        write(batch(spark, row("a", n)), 0)
    assert store.rows()["a"]["n"] == 1


def test_rows_around_a_wrong_one_keep_their_order(spark: SparkSession, store: ClickStore) -> None:
    store.made().command(f"ALTER TABLE {store.table} ADD {CONSTRAINT}")
    rows = [row("a", 1), row("b", 1), row("wrong", 100), row("a", 2), row("b", 2), row("a", 3)]
    store.direct()(batch(spark, *rows).coalesce(1), 0)
    assert {name: found["n"] for name, found in store.rows().items()} == {"a": 3, "b": 2} and len(store.letters) == 1


def test_null_is_the_lowest_rank(spark: SparkSession, store: ClickStore) -> None:
    def unranked(name: str, n: int) -> tuple:
        return (*row(name, n)[:5], None)

    write = store.writer()
    write(batch(spark, unranked("a", 1), row("b", 1, seconds=-3e9), unranked("c", 1)), 0)
    write(batch(spark, row("a", 2, seconds=-3e9), unranked("b", 2), unranked("c", 2)), 1)
    assert {name: found["n"] for name, found in store.rows().items()} == {"a": 2, "b": 1, "c": 2}


def test_a_rank_may_be_any_number(spark: SparkSession, store: ClickStore) -> None:
    store.result = replace(store.result, order="n")
    write = store.writer()
    for n, name in ((-(2**63), "low"), (-1, "minus"), (0, "zero"), (2**63 - 1, "high")):
        for number in (n, n - 1, None) if n > -(2**63) else (n, None):
            write(batch(spark, row(name, number, note=str(number))), 0)
    found = {name: each["note"] for name, each in store.rows().items()}
    assert found == {"low": str(-(2**63)), "minus": "-1", "zero": "0", "high": str(2**63 - 1)}


def spoiled(spark: SparkSession) -> DataFrame:
    """Rows of which `good` and `fine` are good; each of the others cannot be stored for a reason of its own."""
    names = ("good", None, "exact", "early", "late", "many", "fine")
    at = F.when(F.col("name") == "early", F.lit("1899-12-31T23:00:00Z")).when(F.col("name") == "late", "2300-01-01")
    exact = F.when(F.col("name") == "exact", F.lit("9" * 15)).otherwise(F.lit("12345.678"))
    return batch(spark, *(row(name, 100 if name == "many" else n) for n, name in enumerate(names))).withColumns(
        {
            "observed_at": F.coalesce(at.cast("timestamp"), "observed_at"),
            "price": exact.cast("decimal(38,10)"),
        }
    )


def test_a_refused_row_becomes_a_letter_and_the_others_are_stored(spark: SparkSession, store: ClickStore) -> None:
    store.made().command(f"ALTER TABLE {store.table} ADD {CONSTRAINT}")
    for _ in range(2):
        store.direct()(spoiled(spark).coalesce(1), 0)
    assert {name: found["price"] for name, found in store.rows().items()} == dict.fromkeys(
        ("good", "fine"), Decimal("12345.678")
    )
    first, again = store.letters[:5], store.letters[5:]
    assert first == again  # a replay writes the same letters under the same keys
    reasons = sorted(letter["reason"] for letter in first)
    years = "observed_at is outside the years 1900 to 2299"
    words = ("ClickHouse exception, code: 469", "name is null", years, years, "price is out of range")
    assert [word for word, reason in zip(words, reasons, strict=True) if word not in reason] == []
    assert {letter["topic"] for letter in first} == {store.table}
    values = [json.loads(base64.b64decode(each["value_base64"])) for each in first]
    assert {each["name"] for each in values} == {None, "exact", "early", "late", "many"}
    assert {tuple(each) for each in values} == {tuple(column.name for column in store.result.columns)}


def test_of_many_rows_the_wrong_ones_alone_are_left_out(spark: SparkSession, store: ClickStore) -> None:
    store.made().command(f"ALTER TABLE {store.table} ADD {CONSTRAINT}")
    rows = big_batch(spark, 20_000).withColumn("n", F.when(F.crc32("name") % 4000 == 0, 100).otherwise(F.col("n")))
    wrong = rows.filter("n = 100").count()
    store.direct()(rows, 0)
    assert wrong == len(store.letters) > 0
    assert len(store.rows()) == 20_000 - wrong


def test_what_is_no_number_is_null_or_refused(spark: SparkSession, store: ClickStore) -> None:
    columns = (*store.result.columns, results.double("score", null=True), results.double("mean"))
    store.result = replace(store.result, columns=columns)
    scores = {"nan": (NAN, 1.0), "infinite": (INFINITY, -INFINITY), "small": (5e-324, -0.0), "wrong": (1.0, NAN)}
    rows = batch(spark, *(row(name) for name in scores))
    score, mean = (
        F.element_at(F.create_map(*(F.lit(x) for name, each in scores.items() for x in (name, each[n]))), F.col("name"))
        for n in (0, 1)
    )
    store.made().direct()(rows.withColumns({"score": score, "mean": mean}), 0)
    found = {name: (each["score"], each["mean"]) for name, each in store.rows().items()}
    assert found == {"nan": (None, 1.0), "infinite": (INFINITY, -INFINITY), "small": (5e-324, 0.0)}
    assert ["mean is no number" in letter["reason"] for letter in store.letters] == [True]


def test_text_that_is_none_is_replaced(spark: SparkSession, store: ClickStore) -> None:
    half = F.unhex(F.lit("61eda080")).cast("string")  # a lone surrogate, as Java's UTF-16 may hold one
    store.made().direct()(batch(spark, row("a")).withColumn("note", half), 0)
    assert store.rows()["a"]["note"] == "a\ufffd\ufffd\ufffd" and not store.letters


def test_letters_reach_their_topic(spark: SparkSession, kafka: Settings, store: ClickStore) -> None:
    to_kafka = publish(DEAD_LETTERS, letters.KEY_OF_ROWS, kafka.kafka_bootstrap)
    store.made().direct(refused=to_kafka)(batch(spark, row("a"), row(None)), 0)
    found = [each for each in browse.dead_letters(kafka.kafka_bootstrap) if each["topic"] == store.table]
    assert ["name is null" in letter["reason"] for letter in found] == [True]
    assert set(store.rows()) == {"a"}


def test_unknown_columns_are_named(spark: SparkSession, store: ClickStore) -> None:
    rows = batch(spark, row("a")).withColumn("more", F.lit(1)).drop("note")
    with pytest.raises(ConfigError, match=r"missing \['note'\], unknown \['more'\]"):
        store.writer()(rows, 0)


FITTING = (
    "name String, n Nullable(Int64), price Nullable(Decimal(24, 10)), note Nullable(String), done Nullable(Bool), "
    "observed_at Nullable(DateTime64(6, 'UTC')), _generation UInt32, _version UInt128"
)


@pytest.mark.parametrize(
    ("columns", "engine", "difference"),
    [
        (FITTING, "MergeTree ORDER BY name", r"__rows is a MergeTree\(\), not a ReplacingMergeTree\(_version\)"),
        (FITTING, "ReplacingMergeTree ORDER BY name", r"is a ReplacingMergeTree\(\), not"),
        (FITTING, "ReplacingMergeTree(_generation) ORDER BY name", r"is a ReplacingMergeTree\(_generation\), not"),
        (FITTING, "ReplacingMergeTree(_version) ORDER BY (name, _generation)", r"ordered by \(name, _generation\)"),
        (FITTING.replace("name String", "name LowCardinality(String)"), "ReplacingMergeTree(_version) ORDER BY name",
         r"has name as LowCardinality\(String\), not String"),
        (FITTING.replace("n Nullable(Int64)", "n Int64"), "ReplacingMergeTree(_version) ORDER BY name",
         r"has n as Int64, not Nullable\(Int64\)"),
        (FITTING.replace("_generation UInt32,", ""), "ReplacingMergeTree(_version) ORDER BY name",
         "has no column _generation"),
    ],
)  # fmt: skip
def test_a_table_that_is_there_and_differs_is_told(
    store: ClickStore, columns: str, engine: str, difference: str
) -> None:
    store.command(f"CREATE TABLE {store.table} ({columns}) ENGINE = {engine}")
    with pytest.raises(ConfigError, match=f"{difference}.*RENAME TABLE {store.table}"):
        store.writer()
    assert store.ask(f"EXISTS {store.result.name}") == [(0,)]


def test_a_table_of_the_users_own_in_the_place_of_the_view_is_told(store: ClickStore) -> None:
    store.command(f"CREATE TABLE {store.result.name} (name String) ENGINE = MergeTree ORDER BY name")
    try:
        with pytest.raises(ConfigError, match=f"{store.result.name} is a MergeTree of its own, not the view of"):
            store.writer()
    finally:
        store.command(f"DROP TABLE {store.result.name}")


def test_an_older_table_gets_the_columns_that_may_be_null(spark: SparkSession, store: ClickStore) -> None:
    now = store.result
    store.result = replace(now, columns=tuple(column for column in now.columns if column.name != "note"))
    store.writer()(batch(spark, row("a")).drop("note"), 0)
    store.result = now
    store.writer()(batch(spark, row("b", note="new")), 1)
    assert {name: found["note"] for name, found in store.rows().items()} == {"a": None, "b": "new"}


def test_tables_are_made_by_many_at_once(store: ClickStore) -> None:
    failures: list[Exception] = []

    def make() -> None:
        try:
            tables.create(store.url, store.result)
        except MillraceError as error:
            failures.append(error)

    makers = [threading.Thread(target=make) for _ in range(6)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert not failures


def test_a_comment_of_the_user_stays_beside_the_generations(store: ClickStore) -> None:
    store.result = replace(results.windows(store.result.name, "x", results.integer("posts")), topic=None)
    store.made().command(f"ALTER TABLE {store.table} MODIFY COMMENT 'mine, it''s'")
    tables.generations(store.url, store.result, NOON)
    assert tables.generations(store.url, store.result, NOON + MINUTE) == {
        "2026-11-22T12:00:00.000000+00:00": 1,
        "2026-11-22T12:01:00.000000+00:00": 2,
    }
    [[comment]] = store.ask(f"SELECT comment FROM system.tables WHERE name = '{store.table}'")
    assert comment.startswith("mine, it's generations {")


def test_without_prepare_nothing_is_made(store: ClickStore) -> None:
    registry.writer(["clickhouse"], store.result, Target(store.settings, prepare=False))
    assert store.ask(f"EXISTS {store.table}") == [(0,)]


def test_few_parts_are_written(spark: SparkSession, store: ClickStore) -> None:
    small = "spark.sql.execution.arrow.maxRecordsPerBatch"
    usual = spark.conf.get(small)
    spark.conf.set(small, "5000")
    try:
        store.writer()(big_batch(spark, 100_000).coalesce(2), 0)
    finally:
        spark.conf.set(small, str(usual))
    [[inserts]] = store.ask(f"SELECT max(max_block_number) FROM system.parts WHERE table = '{store.table}'")
    assert inserts <= 2 and len(store.rows()) == 100_000


@pytest.mark.parametrize(
    ("sizes", "blocks"),
    [
        ([], []),
        ([0, 0], []),
        ([10, 0, 20], [30]),
        ([100_000] * 7, [300_000, 300_000, 100_000]),
        ([sink.BLOCK_ROWS, 1], [sink.BLOCK_ROWS, 1]),
    ],
)
def test_batches_are_gathered(sizes: list[int], blocks: list[int]) -> None:
    batches = [pa.record_batch({"n": pa.array(range(size), pa.int64())}) for size in sizes]
    assert [block.num_rows for block in sink.blocks(batches)] == blocks


def test_long_rows_are_sent_in_time() -> None:
    batches = [pa.record_batch({"text": ["x" * (10 << 20)]})] * 8
    assert [block.num_rows for block in sink.blocks(batches)] == [7, 1]


def test_a_server_that_stays_away(spark: SparkSession, store: ClickStore, proxy: Callable[..., Proxy]) -> None:
    link, url = through(store.made().url, proxy)
    link.cut()
    with pytest.raises(Unavailable, match=f"127.0.0.1:{link.port}.*gave up after 0 s"):
        store.direct(url, patience=Patience(seconds=0.5))(batch(spark, row("a")), 0)


def test_a_wrong_password_is_told_at_once(spark: SparkSession, store: ClickStore) -> None:
    url = store.made().url.replace("://", "://somebody:hunter2@")
    with pytest.raises(ConfigError, match=r"user somebody: .*MILLRACE_CLICKHOUSE_URL") as caught:
        store.direct(url)(batch(spark, row("a")), 0)
    assert "hunter2" not in str(caught.value)


def test_two_writers_of_the_same_keys(spark: SparkSession, store: ClickStore) -> None:
    """Both end with what is older, and none ends before the newest is written."""
    failures: list[BaseException] = []
    store.made()

    def work(numbers: tuple[int, ...]) -> None:
        try:
            for n in numbers:
                store.direct()(big_batch(spark, 500, n).withColumn("observed_at", F.lit(NOON + n * MINUTE)), n)
        except MillraceError as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(numbers,)) for numbers in ((1, 3, 2), (3, 1, 2))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert not failures and not store.letters
    assert {each["n"] for each in store.rows().values()} == {3} and len(store.rows()) == 500


def test_the_embedded_server_is_found_by_tasks_and_started_again(
    spark: SparkSession, kafka: Settings, tmp_path: Path
) -> None:
    """Nobody has started it; killed between two batches, it is there again for the next."""
    store = ClickStore(kafka.model_copy(update={"clickhouse_url": SecretStr(f"chdb://{tmp_path}/data")}))
    try:
        write = store.writer()
        write(big_batch(spark, 1_000), 0)
        running = process.read(tmp_path / "data" / server.PID_FILE)
        assert running
        process.stop(running, signal.SIGKILL)
        write(big_batch(spark, 1_000, n=8), 1)
        assert len(store.rows()) == 1_000 and {each["n"] for each in store.rows().values()} == {8}
    finally:
        if running := process.read(tmp_path / "data" / server.PID_FILE):
            process.stop(running)


def test_candles_that_a_gap_touches_become_incomplete(spark: SparkSession, clickhouse: Settings) -> None:
    url, result = clickhouse.store_url("clickhouse"), replace(results.CANDLES, topic=None)
    client.connect(url).command(f"DROP TABLE IF EXISTS {tables.storage(result)}")
    write = registry.writer(["clickhouse"], result, Target(clickhouse, QUICK))

    def made(updates: int, *minutes: int) -> DataFrame:
        price, starts = Decimal("1.5"), [NOON + minute * MINUTE for minute in minutes]
        rows = [("X", "1m", at, at + MINUTE, *[price] * 5, price, 1, True, updates) for at in starts]
        kinds = ["string", "string", "timestamp", "timestamp"] + ["decimal(24,10)"] * 4 + ["decimal(28,10)"]
        kinds += ["decimal(24,10)", "long", "boolean", "long"]
        fields = zip((column.name for column in result.columns), kinds, strict=True)
        return spark.createDataFrame(rows, ", ".join(" ".join(field) for field in fields))

    write(made(5, 0, 1, 2, 3), 0)
    candles.mark_incomplete(url, [(NOON + 1.5 * MINUTE, NOON + 2 * MINUTE)], QUICK)
    assert STORES["clickhouse"].rows
    found = {each["window_start"]: each["complete"] for each in STORES["clickhouse"].rows(result, clickhouse)}
    assert [found[NOON + n * MINUTE] for n in range(4)] == [True, False, False, True]
    write(made(6, 1), 1)  # a newer candle is as its job says
    found = {each["window_start"]: each["complete"] for each in STORES["clickhouse"].rows(result, clickhouse)}
    assert [found[NOON + n * MINUTE] for n in range(4)] == [True, True, False, True]


def test_notebooks_read_it(
    spark: SparkSession, clickhouse: Settings, store: ClickStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLRACE_CLICKHOUSE_URL", store.url)
    store.result = replace(results.windows(store.result.name, "x", results.integer("posts")), topic=None)
    starts = [NOON + n * MINUTE for n in range(3)]
    kinds = "source string, window_start timestamp, window_end timestamp, posts long"
    rows = spark.createDataFrame([("x", at, at + MINUTE, n) for n, at in enumerate(starts)], kinds)
    store.made().direct()(rows, 0)
    found = explore.table(store.result.name, "clickhouse", limit=2)
    assert list(found["posts"]) == [2, 1] and list(found["window_start"]) == [starts[2], starts[1]]
    assert list(explore.table(store.result.name, "clickhouse", full=True)["posts"]) == [1, 0]
    with pytest.raises(ConfigError, match=f"clickhouse has no table 'nothing' .*{store.result.name}"):
        explore.table("nothing", "clickhouse")


def test_the_doctor_starts_no_server_of_a_folder_that_is_not_there(tmp_path: Path) -> None:
    check = STORES["clickhouse"].check
    assert check and check(config.load(home=tmp_path)) == "no data yet: any job makes it"


def test_the_doctor_says_what_it_found(clickhouse: Settings) -> None:
    check = STORES["clickhouse"].check
    assert check and "database default, version 2" in check(clickhouse)
