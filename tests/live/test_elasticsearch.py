"""What the Elasticsearch sink keeps beyond the contract of all sinks, on the real server."""

import base64
import hashlib
import json
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from elasticsearch import helpers
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sqlalchemy import make_url
from tests.contract import NOON, batch, big_batch, row

from millrace.config import Settings
from millrace.errors import ConfigError, MillraceError, Unavailable
from millrace.kafka import browse, letters
from millrace.kafka.topics import DEAD_LETTERS
from millrace.sinks.elasticsearch import cluster, indices
from millrace.sinks.elasticsearch import writer as sink
from millrace.sinks.kafka import publish
from millrace.sinks.retry import Patience
from millrace.sinks.together import Writer

MINUTE = timedelta(minutes=1)
# In the order of the alphabet, of which é is beyond the end
REASONS = ("'': its key is null or empty", "'many': document_parsing_exception: ", "has 514 bytes", "None: its key is")


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
        return sink.index(self.url, self.index, **{"refused": self.refuse, **options})

    def refuse(self, batch: DataFrame, _: int) -> None:
        self.letters += batch.toArrow().to_pylist()

    def rows(self) -> dict[str, dict[str, Any]]:
        self.client.indices.refresh(index=self.index.name)
        found = {hit["_id"]: hit["_source"] for hit in helpers.scan(self.client, index=self.index.name, size=10_000)}
        for id, source in found.items():
            stamp = datetime.fromisoformat(source.pop("indexed_at"))
            assert abs(datetime.now(UTC) - stamp) < timedelta(minutes=10) and source["name"] == id
        return {id: source | {"observed_at": _moment(source["observed_at"])} for id, source in found.items()}

    def close(self) -> None:
        self.client.indices.delete(index=self.index.name)
        self.client.indices.delete_index_template(name=self.index.name)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


@pytest.fixture
def store(elasticsearch: Settings) -> Iterator[ElasticsearchStore]:
    made = ElasticsearchStore(elasticsearch.store_url("elasticsearch"))
    yield made
    made.close()


def count(store: ElasticsearchStore) -> int:
    store.client.indices.refresh(index=store.index.name)
    return int(store.client.count(index=store.index.name)["count"])


def through(url: str, proxy: Any) -> tuple[str, Any]:
    parsed = make_url(url)
    link = proxy(parsed.host, parsed.port)
    return f"http://127.0.0.1:{link.port}", link


def spoiled(spark: SparkSession) -> DataFrame:
    """Six rows, of which two are good."""
    names = ("good", None, "", "é" * 257, "many", "fine")
    rows = batch(spark, *(row(name, n) for n, name in enumerate(names)))
    return rows.withColumn("n", F.when(F.col("name") == "many", "a lot").otherwise(F.col("n").cast("string")))


def test_a_refused_document_becomes_a_letter_and_the_others_are_indexed(
    spark: SparkSession, store: ElasticsearchStore
) -> None:
    for _ in range(2):
        store.writer()(spoiled(spark).coalesce(1), 0)
    assert {name: found["n"] for name, found in store.rows().items()} == {"good": "0", "fine": "5"}
    first, again = store.letters[:4], store.letters[4:]
    assert first == again  # a replay writes the same letters under the same keys
    for letter, words in zip(sorted(first, key=lambda each: each["reason"]), REASONS, strict=True):
        value = base64.b64decode(letter["value_base64"])
        assert words in letter["reason"]
        assert (letter["topic"], letter["size"]) == (store.index.name, len(value))
        assert letter["sha256"] == hashlib.sha256(value).hexdigest()
        assert set(json.loads(value)) == set(store.index.properties)


def test_without_another_place_what_is_refused_is_logged(
    spark: SparkSession, store: ElasticsearchStore, caplog: pytest.LogCaptureFixture
) -> None:
    sink.log.addHandler(caplog.handler)
    try:
        sink.index(store.url, store.index)(spoiled(spark), 0)
    finally:
        sink.log.removeHandler(caplog.handler)
    [line] = [record.getMessage() for record in caplog.records if record.name == sink.log.name][:1]
    assert "4 documents put aside; the first: Elasticsearch refused" in line
    assert count(store) == 2


def test_letters_reach_their_topic(spark: SparkSession, kafka: Settings, elasticsearch: Settings) -> None:
    store = ElasticsearchStore(elasticsearch.store_url("elasticsearch"))
    to_kafka = publish(DEAD_LETTERS, letters.KEY_OF_ROWS, kafka.kafka_bootstrap)
    store.writer(refused=to_kafka)(spoiled(spark), 0)
    found = [each for each in browse.dead_letters(kafka.kafka_bootstrap) if each["topic"] == store.index.name]
    assert len(found) == 4 and all("Elasticsearch refused" in letter["reason"] for letter in found)
    assert count(store) == 2
    store.close()


def test_a_field_that_the_mapping_lacks_is_refused(spark: SparkSession, store: ElasticsearchStore) -> None:
    store.writer()(batch(spark, row("a")).withColumn("more", F.lit(1)), 0)
    assert count(store) == 0
    assert "strict_dynamic_mapping_exception" in store.letters[0]["reason"]


def test_counts_of_a_window_never_shrink(spark: SparkSession, elasticsearch: Settings) -> None:
    """A replayed batch brings the counts of an earlier moment; keys with the same parts in other places differ."""
    store = ElasticsearchStore(elasticsearch.store_url("elasticsearch"))
    kinds = {"source": "keyword", "window_start": "date", "language": "keyword", "posts": "long"}
    properties = {name: {"type": kind} for name, kind in kinds.items()}
    store.index = indices.Index(f"windows-{uuid.uuid4().hex[:8]}", tuple(kinds)[:3], "posts", properties)
    indices.create(store.url, store.index)
    write = store.writer()

    def rows(*counts: tuple[str, str, int]) -> DataFrame:
        return spark.createDataFrame(
            [(source, NOON, language, posts) for source, language, posts in counts],
            "source string, window_start timestamp, language string, posts long",
        )

    write(rows(("a", "b", 2), ('a","', "b", 1)), 0)
    write(rows(("a", "b", 5), ("a", '","b', 1)), 1)
    write(rows(("a", "b", 2)), 0)
    store.client.indices.refresh(index=store.index.name)
    hits = store.client.search(index=store.index.name)["hits"]["hits"]
    found = {(hit["_source"]["source"], hit["_source"]["language"]): hit["_source"]["posts"] for hit in hits}
    assert found == {("a", "b"): 5, ('a","', "b"): 1, ("a", '","b'): 1}
    assert {json.loads(hit["_id"])["window_start"] for hit in hits} == {"2026-11-22T12:00:00.000000Z"}
    store.close()


def test_a_server_that_goes_and_comes_back(spark: SparkSession, store: ElasticsearchStore, proxy: Any) -> None:
    url, link = through(store.url, proxy)
    write = sink.index(url, store.index)
    write(batch(spark, row("a", 1)), 0)
    link.cut()
    threading.Timer(5, link.restore).start()  # longer: in tests/faults
    write(batch(spark, row("a", 2, 1), row("b", 2, 1)), 1)
    assert {name: found["n"] for name, found in store.rows().items()} == {"a": 2, "b": 2}


def test_a_connection_lost_midway(spark: SparkSession, store: ElasticsearchStore, proxy: Any) -> None:
    """What was sent before and after the cut is all there, each document once."""
    url, link = through(store.url, proxy)
    cuts: list[int] = []

    def cut_in_the_middle() -> None:
        while not cuts:
            if count(store) > 2_000:
                link.cut()
                cuts.append(count(store))
        link.restore()

    cutter = threading.Thread(target=cut_in_the_middle)
    cutter.start()
    sink.index(url, store.index)(big_batch(spark, 60_000), 0)
    cutter.join()
    assert 2_000 < cuts[0] < 60_000
    assert count(store) == 60_000


def test_a_server_that_stays_away(spark: SparkSession, store: ElasticsearchStore, proxy: Any) -> None:
    url, link = through(store.url, proxy)
    link.cut()
    write = sink.index(url, store.index, patience=Patience(seconds=0.5))
    with pytest.raises(Unavailable, match=f"127.0.0.1:{link.port}.*gave up after 0 s"):
        write(batch(spark, row("a")), 0)


def test_two_writers_of_the_same_keys(spark: SparkSession, store: ElasticsearchStore) -> None:
    failures: list[BaseException] = []

    def work(numbers: range) -> None:
        try:
            for n in numbers:
                rows = big_batch(spark, 2_000, n).withColumn("observed_at", F.lit(NOON + n * MINUTE))
                store.writer()(rows, n)
        except MillraceError as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(numbers,)) for numbers in (range(4), range(3, -1, -1))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert not failures
    assert {found["n"] for found in store.rows().values()} == {3} and count(store) == 2_000


def test_creating_is_repeatable_and_a_contradicting_index_is_named(store: ElasticsearchStore) -> None:
    makers = [threading.Thread(target=indices.create, args=(store.url, store.index)) for _ in range(4)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    mapping = store.client.indices.get_mapping(index=store.index.name)[store.index.name]["mappings"]
    assert mapping["dynamic"] == "strict" and mapping["properties"] == store.index.mappings["properties"]
    wider = indices.Index(store.index.name, ("name",), "observed_at", {**store.index.properties, "x": indices.LONG})
    indices.create(store.url, wider)
    other = indices.Index(store.index.name, ("name",), "observed_at", {**store.index.properties, "n": indices.DATE})
    with pytest.raises(ConfigError, match=rf"index {store.index.name} .*cannot be changed"):
        indices.create(store.url, other)
