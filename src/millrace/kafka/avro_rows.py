"""Kafka records in Avro to records in JSON.

Spark's own reader takes one schema for a topic, but each record names that with which it was written, and a table that
was altered has several. So each is decoded by its own, in Python; only who needs Avro pays for it.
"""

from collections.abc import Iterator
from functools import partial

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from millrace.kafka.avro import to_json


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
