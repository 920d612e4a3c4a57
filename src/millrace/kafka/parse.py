"""Kafka records to rows of post.v1: one Arrow pass over each batch, bad records counted and left out.

Measured beside from_json and pyarrow.json (`make bench`): typed decoding by msgspec is the fastest of those that judge
each record by itself; pyarrow.json fails a whole batch for one bad row, and crashes on a top-level `null`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from millrace.errors import BadRecord
from millrace.kafka.posts import NUL, Post, decode, decode_clean

TIME = pa.timestamp("us", tz="UTC")
TEXT = pa.string()
AUTHOR = pa.struct([("id", TEXT), ("username", TEXT), ("name", TEXT), ("bot", pa.bool_())])
_SPARK = {TEXT: "STRING", TIME: "TIMESTAMP", pa.int64(): "BIGINT", pa.list_(TEXT): "ARRAY<STRING>"} | {
    AUTHOR: "STRUCT<id: STRING, username: STRING, name: STRING, bot: BOOLEAN>"
}
COLUMNS: dict[str, pa.DataType] = (
    dict.fromkeys(Post.__struct_fields__, TEXT)
    | dict.fromkeys(("event_time", "created_at", "observed_at"), TIME)
    | dict.fromkeys(("replies", "reblogs", "favourites"), pa.int64())
    | {"author": AUTHOR, "hashtags": pa.list_(TEXT)}
)
BAD = "_bad"  # how many bad records a row stands for; null on good rows
OBSERVED = "millrace"  # name of the observed metrics, which the listener reads

Decoded = Iterable[tuple[int, Post]]  # event time in microseconds since 1970, and the post


@dataclass(frozen=True)
class Fold:
    """An analysis's first step, twice: `rows` says it in Spark SQL, `batch` does the same to one decoded Arrow batch.

    A folded batch is far smaller on its way back to the JVM. A test holds the two equal.
    """

    rows: Callable[[DataFrame], DataFrame]
    batch: Callable[[Decoded], pa.RecordBatch]
    schema: pa.Schema


def posts(records: DataFrame, columns: Iterable[str] = COLUMNS) -> DataFrame:
    """Return post.v1 rows of `columns` from Kafka records (value, timestamp); bad records are counted and left out.

    `event_time` is the Kafka timestamp (milliseconds), which is the event time by contract.
    """
    schema = pa.schema([(name, COLUMNS[name]) for name in columns])
    return _decoded(records, schema, _Columns(schema))


def folded(records: DataFrame, fold: Fold) -> DataFrame:
    """Return `fold.rows(posts(records))`, computed batch by batch before the rows reach the JVM."""
    return _decoded(records, fold.schema, fold.batch)


def spark_schema(schema: pa.Schema) -> str:
    """Return the Spark DDL of an Arrow schema that uses the types of COLUMNS."""
    return ", ".join(f"`{field.name}` {_SPARK[field.type]}" for field in schema)


@dataclass(frozen=True)
class _Columns:
    """Decoded posts to one Arrow column a field."""

    schema: pa.Schema

    def __call__(self, decoded: Decoded) -> pa.RecordBatch:
        posts = list(decoded)
        return pa.RecordBatch.from_arrays([self._column(field, posts) for field in self.schema], schema=self.schema)

    def _column(self, field: pa.Field, decoded: list[tuple[int, Post]]) -> pa.Array:
        if field.name == "event_time":
            return pa.array([time for time, _ in decoded], pa.int64()).cast(field.type)
        values: list[Any] = [getattr(post, field.name) for _, post in decoded]
        if field.name == "author":
            values = [
                author and {name: getattr(author, name) for name in author.__struct_fields__} for author in values
            ]
        return pa.array(values, field.type)


def _decoded(records: DataFrame, schema: pa.Schema, build: Callable[[Decoded], pa.RecordBatch]) -> DataFrame:
    wire = schema.append(pa.field(BAD, pa.int64()))

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            decoding = Decoding(batch)
            rows = build(decoding)
            yield pa.RecordBatch.from_arrays([*rows.columns, pa.nulls(rows.num_rows, pa.int64())], schema=wire)
            if decoding.bad:
                yield pa.RecordBatch.from_pylist([{BAD: decoding.bad}], schema=wire)

    rows = records.select("value", "timestamp").mapInArrow(run, spark_schema(wire))
    counted = rows.observe(OBSERVED, F.coalesce(F.sum(BAD), F.lit(0)).alias("bad"))
    return counted.filter(F.col(BAD).isNull()).drop(BAD)


class Decoding:
    """The good posts of a (value, timestamp) batch with their event times; counts the bad ones while it is iterated.

    Posts are handed on one by one, not collected, so that a batch of them never stands in memory.
    """

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.bad = 0
        self._values = batch.column("value")
        self._times = batch.column("timestamp").cast(TIME).cast(pa.int64())

    def __iter__(self) -> Iterator[tuple[int, Post]]:
        judge = decode_clean if _clean(self._values) else decode
        for time, value in zip(self._times.to_pylist(), self._values.to_pylist(), strict=True):
            try:
                if time is None or time < 0:
                    raise BadRecord("no timestamp")
                post = judge(value)
            except BadRecord:
                self.bad += 1
            else:
                yield time, post


def _clean(values: pa.BinaryArray) -> bool:
    """Return whether no value needs a closer look, asked of the whole batch at once."""
    try:
        values.cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return not any(NUL in buffer.to_pybytes() for buffer in values.buffers()[-1:] if buffer)
