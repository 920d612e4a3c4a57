"""Records in Avro, as clients of Confluent's registry write them, to the JSON that Kafka Connect would have written.

Spark's own reader takes one schema for a topic, but each record names that with which it was written, and a table that
was altered has several. So each is decoded by its own, in Python; only who needs Avro pays for it.
"""

import base64
import json
import math
from collections.abc import Iterator
from functools import lru_cache, partial
from io import BytesIO
from typing import Any

import fastavro
import httpx
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from millrace.errors import Unavailable

MAGIC = b"\x00"  # then the schema's id in four bytes, then the data
SECONDS = 10


def as_json(records: DataFrame, registry: str) -> DataFrame:
    """Return Kafka `records` with their `value` as JSON; what is no Avro of a schema in `registry` stays as it is.

    Raises Unavailable in a task while the registry does not answer.
    """
    columns = [name for name in records.columns if name != "value"]
    place = records.select(F.struct(*columns).alias("record"), "value")
    read = partial(_decoded, registry=registry)
    return place.mapInArrow(read, place.schema).select("record.*", "value")


def _decoded(batches: Iterator[pa.RecordBatch], *, registry: str) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        values = [value if value is None else to_json(value, registry) for value in batch["value"].to_pylist()]
        yield pa.RecordBatch.from_arrays([batch["record"], pa.array(values, pa.binary())], schema=batch.schema)


def to_json(value: bytes, registry: str) -> bytes:
    """Return the JSON of a record, or `value` itself where it is no Avro; raises Unavailable."""
    if value[:1] != MAGIC or len(value) < 5 or (schema := _schema(registry, int.from_bytes(value[1:5], "big"))) is None:
        return value
    try:
        found = fastavro.schemaless_reader(BytesIO(value[5:]), schema, None)
    except (EOFError, IndexError, ValueError, TypeError, KeyError, UnicodeDecodeError):
        return value
    return json.dumps(_plain(found), ensure_ascii=False, separators=(",", ":")).encode()


@lru_cache(maxsize=1_000)
def _schema(registry: str, number: int) -> Any:
    """Return a schema of the registry, which never changes, None where it has none of this number."""
    try:
        answer = httpx.get(f"{registry}/schemas/ids/{number}", timeout=SECONDS)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        return fastavro.parse_schema(_without_logic(json.loads(answer.raise_for_status().json()["schema"])))
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise Unavailable(f"the registry at {registry}: {type(error).__name__}: {error}") from None


def _without_logic(schema: Any) -> Any:
    """Return a schema without logical types: values stay the numbers and texts that JSON has, too."""
    if isinstance(schema, list):
        return [_without_logic(each) for each in schema]
    if isinstance(schema, dict):
        return {name: _without_logic(each) for name, each in schema.items() if name != "logicalType"}
    return schema


def _plain(value: Any) -> Any:
    """Return a value as Kafka Connect's JSON has it: bytes in base64, numbers that are none as text."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
