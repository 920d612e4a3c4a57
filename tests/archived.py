"""Kafka records as tests archive them."""

from datetime import UTC, datetime, timedelta

from pyspark.sql import DataFrame, SparkSession

from millrace.archive import records
from millrace.archive.records import Record

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOPIC = "cafe-posts"
BODIES = [
    b"plain", b"", None, b"\xff\xfe\x00bad",
    "naïve \"quoted\" \\ \n\r\t \u2028 😀 \u0000 end".encode(), b"\xed\xa0\x80",
    b'{"a": 1}', b"null", b"x" * 200_000, "مرحبا".encode(), b"\xc0\x80",
]  # fmt: skip
KAFKA = (
    "key BINARY, value BINARY, topic STRING, partition INT, offset BIGINT, timestamp TIMESTAMP,"
    " headers ARRAY<STRUCT<key: STRING, value: BINARY>>"
)


def record(offset: int, body: bytes | None = b"x", seconds: float = 0, partition: int = 0) -> Record:
    at = round((NOON + timedelta(seconds=seconds)).timestamp() * 1000) + offset
    headers = (("h", body), ("schema", b"post.v1")) if offset % 2 else ()
    return Record(at, partition, offset, TOPIC, body, body, headers)


def frame(spark: SparkSession, found: list[Record]) -> DataFrame:
    """Return records as Kafka's source would give them."""
    plain = [
        (each.key, each.value, each.topic, each.partition, each.offset, records.moment(each.timestamp),
         [*each.headers] or None)
        for each in found
    ]  # fmt: skip
    return spark.createDataFrame(plain, KAFKA)
