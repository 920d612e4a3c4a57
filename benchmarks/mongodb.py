"""Documents a second into MongoDB beside PyMongo's bare bulk_write; tweets a second into windows there, and memory."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pymongo import ReplaceOne
from pymongo.collection import Collection
from pyspark.sql import SparkSession

from benchmarks import documents, fill, hashtags, memory, mill, submit, turns
from benchmarks.fill import Pattern
from benchmarks.report import Figure, ratio
from millrace import explore
from millrace.config import Settings
from millrace.kafka.results import ENGAGEMENT, TWEET_CASES
from millrace.sinks.mongodb import cluster
from millrace.sinks.mongodb import writer as mongodb

NAME = "mongodb"
BATCHES = 20
FLAT = 1.1  # memory of the second half of a run, as a multiple of the first half's
MIB = 1024**2
BY_ID = replace(ENGAGEMENT, order=None, version=None)


def measure(tweets: int, size: int = 40_000, rounds: int = 7) -> Iterator[Figure]:
    """Yield the sink's documents/s as a share of bulk_write's, tweets/s into windows beside raw, and memory."""
    with mill.servers("kafka", "mongodb") as settings:
        url = settings.store_url("mongodb")
        spark = explore.session()
        try:
            yield compare(spark, url, size, rounds)
        finally:
            spark.stop()
        yield from throughput(settings, tweets)


def compare(spark: SparkSession, url: str, size: int, rounds: int) -> Figure:
    """Time both ways in turn over the same documents: one task beside one process, all are upserts by id alone.

    The local server looks through a whole collection for a filter by id and rank, which MongoDB does not.
    """
    batch = documents.rows(spark, size).coalesce(1).persist()
    plain = [row.asDict() for row in batch.collect()]
    collection = cluster.collection(url, BY_ID.documents)
    write = mongodb.replace(url, BY_ID, refused=lambda letters, _: print(letters.count(), end=""))
    return turns.compare(
        NAME,
        f"{size:,} scored posts, one task",
        size=size,
        unit="documents",
        sink=lambda: write(batch, 0),
        client="bulk_write",
        bare=lambda: bare(collection, plain),
        rounds=rounds,
    )


def bare(collection: Collection[dict[str, Any]], plain: list[dict[str, Any]]) -> None:
    """The client alone, as short as it can be written for documents with ids."""
    for start in range(0, len(plain), mongodb.CHUNK):
        chunk = plain[start : start + mongodb.CHUNK]
        requests = [ReplaceOne({"_id": each["id"]}, {"_id": each["id"], **each}, upsert=True) for each in chunk]
        collection.bulk_write(requests, ordered=False)


def throughput(settings: Settings, tweets: int) -> Iterator[Figure]:
    """Yield the steady tweets/s of the job on two cores, their share of Spark's raw count, and how its memory grows.

    Memory is that of a second run, which collects the heap after each batch (benchmarks/memory.py).
    """
    topic = mill.topic(settings, "tweets-in-windows", 3)
    created = [Pattern.of(post) for post in fill.samples() if post["operation"] == "create"]
    fill.fill(settings.kafka_bootstrap, topic, 3, tweets, made_of=created)
    hashtags.warm_up(settings, topic, tweets)
    raw = hashtags.run(settings, topic, "raw", tweets)
    steady = submit.run(command(settings, topic, tweets), settings.home / "logs" / "cases.log", {}).steady
    share = f"{ratio(steady, raw.steady):.0%} of Spark's raw count, in {BATCHES} batches; that in {hashtags.BATCHES}"
    yield Figure(NAME, "tweets into windows of 20 s", steady, "tweets/s", note=share)
    stored = cluster.collection(settings.store_url("mongodb"), TWEET_CASES.documents).find({}, {"tweets": 1})
    counted = sum(each["tweets"] for each in stored)
    yield Figure(NAME, "tweets in the documents", float(counted), "", f"{tweets:,}", counted == tweets)
    again = command(settings, topic, tweets, "--checkpoint", str(settings.home / "checkpoints" / "again"))
    needed = memory.run(settings, "cases", again)
    grown = memory.growth(needed)
    note = (
        f"{max(needed, default=0) / MIB:,.0f} MiB at most, without garbage; a quarter, in which it starts, is left out"
    )
    yield Figure(NAME, "memory, second half / first", grown, "x", f"<= {FLAT}", grown <= FLAT, note)


def command(settings: Settings, topic: str, tweets: int, *more: str) -> list[str]:
    """Return the command line of the job over the whole topic, in BATCHES batches."""
    numbers = settings.home / "numbers.json"
    rows = [{"country": "World", "total_cases_count": 1}]
    numbers.write_text(json.dumps({"as_of": "2024-04-13", "source_url": "own", "rows": rows}))
    bite = str(tweets // BATCHES + BATCHES)
    options = ["--topic", topic, "--once", "--max-offsets", bite, "--cases", f"file:{numbers}"]
    return submit.ours("cases", *options, *more)
