"""Dead letters: what could not be read, where it lies and why, small enough to keep for good."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from millrace.errors import BadRecord
from millrace.kafka import posts, trades
from millrace.kafka.results import TOPICS
from millrace.kafka.times import END, iso

HEAD = 4096  # bytes of a bad value that its letter keeps
LONGEST_REASON = 500  # characters
COLUMNS = "topic STRING, partition INT, offset BIGINT, reason STRING, value_base64 STRING, size BIGINT, sha256 STRING"
DECODERS = {posts.SCHEMA: posts.decode, trades.SCHEMA: trades.decode}
KEY = ["topic", "partition", "offset"]
KEY_OF_ROWS = [*KEY, "sha256"]  # of what lies in no partition: a row that a store refused


def dead_letters(records: DataFrame) -> DataFrame:
    """Return a letter for each Kafka record that is not of its topic's schema, post.v1 where that is unknown.

    Columns: topic, partition, offset, reason, value_base64 (its first 4 KB), size (bytes), sha256 of the whole.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield table([letter for row in batch.to_pylist() if (letter := _letter(row))])

    time = F.unix_millis("timestamp").alias("timestamp")  # as a number it may be of any year
    return records.select("topic", "partition", "offset", "value", time).mapInArrow(run, COLUMNS)


def letter(
    value: bytes, reason: str, topic: str, partition: int | None = None, offset: int | None = None
) -> dict[str, Any]:
    """Return the letter of `value`: the head of it, its size and checksum; without partition what no topic holds."""
    place = {"topic": topic, "partition": partition, "offset": offset, "reason": reason[:LONGEST_REASON]}
    head = {"value_base64": base64.b64encode(value[:HEAD]).decode(), "size": len(value)}
    return place | head | {"sha256": hashlib.sha256(value).hexdigest()}


def table(letters: list[dict[str, Any]]) -> pa.RecordBatch:
    """Return letters as Arrow rows of COLUMNS."""
    return pa.RecordBatch.from_pylist(letters, schema=_SCHEMA)


def _letter(row: dict[str, Any]) -> dict[str, Any] | None:
    known = TOPICS.get(row["topic"])
    decode = DECODERS.get(known.schema if known else posts.SCHEMA, posts.decode)
    try:
        decode(row["value"])
        if row["timestamp"] is None or row["timestamp"] < 0:  # Kafka's way to say none is -1 ms
            raise BadRecord("it has no timestamp")
        if row["timestamp"] >= END:
            raise BadRecord(f"its timestamp is {iso(row['timestamp'])}")
        return None
    except BadRecord as error:
        return letter(row["value"] or b"", str(error), row["topic"], row["partition"], row["offset"])


_SCHEMA = pa.schema(
    [
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("reason", pa.string()),
        ("value_base64", pa.string()),
        ("size", pa.int64()),
        ("sha256", pa.string()),
    ]
)
