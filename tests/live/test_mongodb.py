"""What the MongoDB sink keeps beyond the contract of all sinks, on a real server."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from tests.contract import NOON, STORES, Store, batch, big_batch, row
from tests.proxy import Proxy, through

from millrace.config import Settings
from millrace.errors import MillraceError, Unavailable
from millrace.kafka import browse, letters
from millrace.kafka.topics import DEAD_LETTERS
from millrace.sinks import registry
from millrace.sinks.kafka import publish
from millrace.sinks.mongodb import cluster
from millrace.sinks.mongodb import writer as sink
from millrace.sinks.retry import Patience
from millrace.sinks.sink import Target
from millrace.sinks.together import Writer, together

MINUTE = timedelta(minutes=1)
HUGE = 17 << 20  # bytes: more than a document may have
HOSTILE = ["$where", "a.b", "$a.$b.", ".", "a\0b", "\0", "\u202eabc", "مرحبا", "\ufeff", "\ud7ff\ue000", "é" * 50_000]


class MongoStore(Store):
    """A fresh collection; what was refused is in `letters`."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(STORES["mongodb"], settings)
        self.url = settings.store_url("mongodb")
        self.collection = cluster.collection(self.url, self.result.documents)
        self.letters: list[dict[str, Any]] = []

    def direct(self, url: str = "", **options: Any) -> Writer:
        return sink.replace(url or self.url, self.result, **{"refused": self.refuse, **options})

    def refuse(self, batch: DataFrame, _: int) -> None:
        self.letters += batch.toArrow().to_pylist()

    def found(self) -> dict[str, dict[str, Any]]:
        return {each["_id"]: each for each in self.collection.find()}


@pytest.fixture
def store(mongodb: Settings) -> Iterator[MongoStore]:
    made = MongoStore(mongodb)
    yield made
    made.collection.drop()


def test_what_is_not_known_is_null_and_never_text(spark: SparkSession, store: MongoStore) -> None:
    nan, some = F.lit(float("nan")), F.when(F.col("n") == 1, 2.5).otherwise(float("nan"))
    rows = batch(spark, row("a", 1), ("b", None, None, None, None, None))
    nested = F.array(*(F.struct(x.alias("x"), F.lit(None).cast("string").alias("y")) for x in (some, nan)))
    more = rows.withColumns({"score": nan, "some": some, "nested": nested, "none": F.lit(None).cast("date")})
    store.direct()(more, 0)
    found = store.found()
    assert [found["a"][name] for name in ("score", "some", "none")] == [None, 2.5, None]
    assert found["a"]["nested"] == [{"x": 2.5, "y": None}, {"x": None, "y": None}]
    assert [found["b"][name] for name in ("n", "price", "note", "done", "observed_at", "some")] == [None] * 6
    assert set(found["b"]) == {"_id", *more.columns}


def test_hostile_text_is_stored_as_it_is(spark: SparkSession, store: MongoStore) -> None:
    for _ in range(2):
        store.direct()(batch(spark, *(row(name, n, note=name) for n, name in enumerate(HOSTILE))), 0)
    assert {name: (each["n"], each["note"]) for name, each in store.found().items()} == {
        name: (n, name) for n, name in enumerate(HOSTILE)
    }
    assert store.letters == []


def spoiled(spark: SparkSession) -> DataFrame:
    """Rows of which `good` and `fine` are good; each of the others cannot be stored for a reason of its own."""
    names = ("good", None, "huge", "text", "time", "exact", "fine")
    bytes_ = F.unhex(F.lit("61ff")).cast("string")
    return batch(spark, *(row(name, n) for n, name in enumerate(names))).withColumns(
        {
            "note": F.when(F.col("name") == "huge", F.repeat(F.lit("x"), HUGE)).otherwise(F.col("note")),
            "texts": F.array(F.when(F.col("name") == "text", bytes_).otherwise("é")),
            "at": F.when(F.col("name") == "time", F.timestamp_micros(F.lit(2**58))),
            "exact": F.when(F.col("name") == "exact", F.lit("9" * 38).cast("decimal(38,0)")),
        }
    )


def test_a_refused_document_becomes_a_letter_and_the_others_are_stored(spark: SparkSession, store: MongoStore) -> None:
    for _ in range(2):
        store.direct()(spoiled(spark).coalesce(1), 0)
    assert {name: (each["n"], each["texts"]) for name, each in store.found().items()} == {
        "good": (0, ["é"]),
        "fine": (6, ["é"]),
    }
    first, again = store.letters[:5], store.letters[5:]
    assert first == again  # a replay writes the same letters under the same keys
    reasons = sorted(letter["reason"] for letter in first)
    words = ("'exact': ", "'huge': it has 178", "'text': ", "'time': ", "None: its key is null")
    assert [word for word, reason in zip(words, reasons, strict=True) if word not in reason] == []
    assert {letter["topic"] for letter in first} == {store.collection.full_name}
    small = [json.loads(base64.b64decode(each["value_base64"])) for each in first if each["size"] < letters.HEAD]
    assert {each["name"] for each in small} == {None, "text", "time", "exact"}


def test_a_key_that_is_no_text(spark: SparkSession, store: MongoStore) -> None:
    rows = batch(spark, row("a"), row("b")).withColumn(
        "name", F.when(F.col("name") == "a", F.unhex(F.lit("ff")).cast("string")).otherwise("b")
    )
    store.direct()(rows, 0)
    assert set(store.found()) == {"b"} and len(store.letters) == 1


def test_letters_reach_their_topic(spark: SparkSession, kafka: Settings, store: MongoStore) -> None:
    to_kafka = publish(DEAD_LETTERS, letters.KEY_OF_ROWS, kafka.kafka_bootstrap)
    store.direct(refused=to_kafka)(batch(spark, row("a"), row(None)), 0)
    found = [each for each in browse.dead_letters(kafka.kafka_bootstrap) if each["topic"] == store.collection.full_name]
    assert ["its key is null" in letter["reason"] for letter in found] == [True]
    assert set(store.found()) == {"a"}


def test_what_an_index_of_the_user_refuses_is_not_taken_for_an_older_document(
    spark: SparkSession, store: MongoStore
) -> None:
    store.collection.create_index("note", unique=True)
    store.direct()(batch(spark, row("a", note="x"), row("b", note="x"), row("c", note="y")).coalesce(1), 0)
    store.direct()(batch(spark, row("c", 2, 1, note="x")), 1)
    assert {name: each["n"] for name, each in store.found().items()} == {"a": 1, "c": 1}
    assert ["note" in letter["reason"] for letter in store.letters] == [True, True]
    values = [json.loads(base64.b64decode(letter["value_base64"])) for letter in store.letters]
    assert [(each["name"], each["note"]) for each in values] == [("b", "x"), ("c", "x")]


def test_null_is_the_lowest_rank(spark: SparkSession, store: MongoStore) -> None:
    def unranked(name: str, n: int) -> tuple:
        return (*row(name, n)[:5], None)

    write = store.direct()
    write(batch(spark, unranked("a", 1), row("b", 1), unranked("c", 1)), 0)
    write(batch(spark, row("a", 2), unranked("b", 2), unranked("c", 2)), 1)
    assert {name: each["n"] for name, each in store.found().items()} == {"a": 2, "b": 1, "c": 2}
    write(batch(spark, unranked("d", 1), row("d", 2), unranked("d", 3), row("e", 2), unranked("e", 3)).coalesce(1), 2)
    assert {name: store.found()[name]["n"] for name in "de"} == {"d": 2, "e": 2}


def test_versions_that_differ_by_microseconds_are_not_mixed_up(spark: SparkSession, store: MongoStore) -> None:
    """MongoDB's times have milliseconds; of versions within one the last written stays."""
    write = store.direct()
    write(batch(spark, row("a", 1, 0.0019), row("b", 1, 0.002)), 0)
    write(batch(spark, row("a", 2, 0.0011), row("b", 2, 0.0019)), 1)
    assert {name: each["n"] for name, each in store.found().items()} == {"a": 2, "b": 1}


def test_writing_changes_nothing_that_another_sink_gets(spark: SparkSession, store: MongoStore) -> None:
    seen: list[Any] = []
    rows = spoiled(spark).filter("name in ('good', 'fine')").drop("at")
    collect = lambda found, _: seen.append((found.columns, found.orderBy("name").collect()))  # noqa: E731
    together(collect, store.direct(), store.writer(), collect)(rows, 0)
    assert seen[0] == seen[1] and seen[0][0] == rows.columns and len(seen[0][1]) == 2


def test_the_right_run_overwrites_from_a_window_on(spark: SparkSession, store: MongoStore) -> None:
    def windows(n: int, seconds: int) -> DataFrame:
        starts = F.when(F.col("name") == "a", F.lit(NOON)).otherwise(F.lit(NOON + MINUTE))
        return batch(spark, row("a", n, seconds), row("b", n, seconds)).withColumn("window_start", starts)

    store.direct()(windows(1, 10), 0)
    store.direct(overwrite=NOON + MINUTE)(windows(2, 5), 0)
    assert {name: each["n"] for name, each in store.found().items()} == {"a": 1, "b": 2}


def test_a_server_that_stays_away(spark: SparkSession, store: MongoStore, proxy: Callable[..., Proxy]) -> None:
    link, url = through(store.url, proxy)
    link.cut()
    write = store.direct(f"{url}/?serverSelectionTimeoutMS=300", patience=Patience(seconds=0.5))
    with pytest.raises(Unavailable, match=f"127.0.0.1:{link.port}.*gave up after 0 s"):
        write(batch(spark, row("a")), 0)


def test_a_connection_lost_midway(spark: SparkSession, store: MongoStore, proxy: Callable[..., Proxy]) -> None:
    """What was sent before and after the cut is all there, each document once."""
    link, url = through(store.url, proxy)
    cuts: list[int] = []

    def cut_in_the_middle() -> None:
        while not cuts:
            if (count := store.collection.estimated_document_count()) > 1_000:
                link.cut()
                cuts.append(count)
        link.restore()

    cutter = threading.Thread(target=cut_in_the_middle)
    cutter.start()
    store.direct(url)(big_batch(spark, 20_000), 0)
    cutter.join()
    assert 1_000 < cuts[0] < 20_000
    assert store.collection.count_documents({"n": 7}) == 20_000


def test_two_writers_of_the_same_keys(spark: SparkSession, store: MongoStore) -> None:
    """Both end with what is older, and none ends before the newest is written."""
    failures: list[BaseException] = []

    def work(numbers: tuple[int, ...]) -> None:
        try:
            for n in numbers:
                rows = big_batch(spark, 500, n).withColumn("observed_at", F.lit(NOON + n * MINUTE))
                store.direct()(rows, n)
        except MillraceError as error:
            failures.append(error)

    work((0,))
    workers = [threading.Thread(target=work, args=(numbers,)) for numbers in ((1, 3, 2), (3, 1, 2))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert not failures and not store.letters
    assert {each["n"] for each in store.found().values()} == {3} and len(store.found()) == 500


def test_indexes_are_made_once(store: MongoStore) -> None:
    makers = [threading.Thread(target=sink.prepare, args=(store.url, store.result)) for _ in range(4)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    store.writer()
    keys = [tuple(index["key"].items()) for index in store.collection.list_indexes()]
    assert sorted(keys) == [(("_id", 1),), (("observed_at", -1),)]


def test_without_prepare_nothing_is_made(store: MongoStore) -> None:
    registry.writer(["mongodb"], store.result, Target(store.settings, prepare=False))
    assert store.collection.name not in store.collection.database.list_collection_names()
