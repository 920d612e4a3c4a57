"""The archive on HDFS: rows a second and bytes a row of each format, files of an hour, events a second played back."""

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import orjson
from pyspark.sql import DataFrame, SparkSession

from benchmarks import mill
from benchmarks.fill import samples
from benchmarks.report import Figure, number
from millrace import explore
from millrace.archive import census, compact, files, replay
from millrace.archive.files import Files
from millrace.config import Settings
from millrace.sinks.archive import writer as hdfs

NAME = "archive"
HOUR = datetime(2026, 7, 4, 12, tzinfo=UTC)
BATCHES = 12  # an hour, a batch every five minutes
KAFKA = (
    "key BINARY, value BINARY, topic STRING, partition INT, offset BIGINT, timestamp TIMESTAMP,"
    " headers ARRAY<STRUCT<key: STRING, value: BINARY>>"
)
figure = partial(Figure, NAME)


def measure(posts: int) -> Iterator[Figure]:
    """Yield the figures of `posts` simulated posts in an hour of BATCHES batches, for each format."""
    with mill.servers("kafka", "hdfs") as settings:
        spark = explore.session()
        try:
            batches = [_batch(spark, number, posts // BATCHES).persist() for number in range(BATCHES)]
            for batch in batches:
                batch.count()
            for form in ("jsonl", "parquet"):
                place = files.at(f"{settings.archive}/{form}", settings.webhdfs_url)
                yield from _measure(settings, place, form, batches)
        finally:
            spark.stop()
            os.environ.pop("SPARK_HOME", None)


def _measure(settings: Settings, place: Files, form: str, batches: list[DataFrame]) -> Iterator[Figure]:
    write = hdfs.append(place, form)
    write(batches[0], 0)  # the first compiles
    rate = _rate(lambda: [write(batch, number) for number, batch in enumerate(batches[1:], 1)], batches[1:])
    yield figure(f"{form}, written by Spark", rate, "rows/s")
    [hour] = census.hours(place)
    yield figure(f"{form}, {BATCHES} batches", hour.bytes / hour.rows, "bytes/row", note=f"{hour.files} files an hour")
    compacting = _rate(lambda: compact.compact(place, now=HOUR + timedelta(days=1)), batches)
    [hour] = census.hours(place)
    told = f"{hour.files} files an hour, compacted at {number(compacting)} rows/s"
    yield figure(f"{form}, compacted", hour.bytes / hour.rows, "bytes/row", note=told)
    topic = census.chosen(place)[0]
    playing = _rate(lambda: replay.replay(place, topic, settings.kafka_bootstrap, f"{topic}-{form}"), batches)
    yield figure(f"{form}, played back into Kafka", playing, "events/s")


def _rate(work: Callable[[], object], batches: list[DataFrame]) -> float:
    """Return rows a second of `work` on `batches`."""
    rows, begin = sum(batch.count() for batch in batches), time.monotonic()
    work()
    return rows / (time.monotonic() - begin)


def _batch(spark: SparkSession, number: int, size: int) -> DataFrame:
    posts, step = samples(), timedelta(minutes=60 / BATCHES)
    rows = []
    for index in range(size):
        place = number * size + index
        post = posts[place % len(posts)] | {"event_id": str(place)}
        at, headers = HOUR + number * step + step * index / size, [("schema", b"post.v1")]
        rows.append((post["id"].encode(), orjson.dumps(post), "posts", place % 3, place // 3, at, headers))
    return spark.createDataFrame(rows, KAFKA)
