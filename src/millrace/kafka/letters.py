"""Dead letters: what could not be read, where it lies and why, small enough to keep for good."""

import base64
import hashlib
from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import DataFrame

from millrace.errors import BadRecord
from millrace.kafka.posts import decode

HEAD = 4096  # bytes of a bad value that its letter keeps
COLUMNS = "topic STRING, partition INT, offset BIGINT, reason STRING, value_base64 STRING, size BIGINT, sha256 STRING"
KEY = ["topic", "partition", "offset"]


def dead_letters(records: DataFrame) -> DataFrame:
    """Return a letter for each Kafka record that is no post.v1: topic, partition, offset, reason, value_base64 (its
    first 4 KB), size (bytes) and sha256 of the whole value."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            letters = [letter for row in batch.to_pylist() if (letter := _letter(row))]
            yield pa.RecordBatch.from_pylist(letters, schema=_SCHEMA)

    return records.select("topic", "partition", "offset", "value", "timestamp").mapInArrow(run, COLUMNS)


def _letter(row: dict[str, object]) -> dict[str, object] | None:
    value = row["value"]
    assert value is None or isinstance(value, bytes)
    try:
        decode(value)
        return None
    except BadRecord as error:
        body = value or b""
        place = {name: row[name] for name in ("topic", "partition", "offset")}
        head = {"value_base64": base64.b64encode(body[:HEAD]).decode(), "size": len(body)}
        return place | {"reason": str(error)} | head | {"sha256": hashlib.sha256(body).hexdigest()}


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
