"""Kafka records as tests archive them, and what an archive holds."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from millrace.archive import replay, rows
from millrace.archive.files import Files
from millrace.archive.log import Log
from millrace.archive.records import Record
from millrace.sinks.archive import writer as hdfs

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=1)
TOPIC = "cafe-posts"
BODIES = [
    b"plain", b"", None, b"\xff\xfe\x00bad",
    "naïve \"quoted\" \\ \n\r\t \u2028 😀 \u0000 end".encode(), b"\xed\xa0\x80",
    b'{"a": 1}', b"null", b"x" * 200_000, "مرحبا".encode(), b"\xc0\x80",
]  # fmt: skip
KAFKA = (
    "key BINARY, value BINARY, topic STRING, partition INT, offset BIGINT, timestamp BIGINT,"
    " headers ARRAY<STRUCT<key: STRING, value: BINARY>>"
)


def record(offset: int, body: bytes | None = b"x", seconds: float = 0, partition: int = 0) -> Record:
    at = round((NOON + timedelta(seconds=seconds)).timestamp() * 1000) + offset
    headers = (("h", body), ("schema", b"post.v1")) if offset % 2 else ()
    return Record(at, partition, offset, TOPIC, body, body, headers)


def frame(spark: SparkSession, found: list[Record]) -> DataFrame:
    """Return records as Kafka's source would give them."""
    plain = [
        (each.key, each.value, each.topic, each.partition, each.offset, each.timestamp, [*each.headers] or None)
        for each in found
    ]
    return spark.createDataFrame(plain, KAFKA).withColumn("timestamp", F.timestamp_millis("timestamp"))


def archived(archive: Files) -> list[Record]:
    """Return what the archive holds, read without Spark."""
    return list(replay.read(archive, TOPIC, replay.EVERYTHING))


def by_spark(spark: SparkSession, archive: Files) -> list[Record]:
    """Return what the archive holds, read by Spark."""
    parts = Log(archive, TOPIC).load().parts.values()
    rows_ = rows.read(spark, archive.url, TOPIC, parts).withColumn("timestamp", F.unix_millis("timestamp"))
    found = rows_.toArrow().to_pylist()
    return sorted(
        Record(
            each["timestamp"], each["partition"], each["offset"], each["topic"],
            each["key"], each["value"], tuple((pair["key"], pair["value"]) for pair in each["headers"] or ()),
        )
        for each in found
    )  # fmt: skip


def three_batches(spark: SparkSession, archive: Files, form: str = "jsonl", per: int = 30) -> list[Record]:
    """Archive three batches over two hours; returns their records in the order of time."""
    write, made = hdfs.append(archive, form), []
    for number in range(3):
        own = [record(number * per + n, f"{number} {n}".encode(), seconds=130 * n) for n in range(per)]
        write(frame(spark, own), number)
        made += own
    return sorted(made)


def crash(*_: Any) -> None:
    raise KeyboardInterrupt
