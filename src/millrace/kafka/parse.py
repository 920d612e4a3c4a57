"""Kafka records to rows of their schema: one Arrow pass over each batch, bad records counted and left out.

Measured beside from_json and pyarrow.json (`make bench`): typed decoding by msgspec is the fastest of those that judge
each record by itself; pyarrow.json fails a whole batch for one bad row, and crashes on a top-level `null`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from millrace.errors import BadRecord
from millrace.kafka.posts import NUL, REFUSED, Post, decode, decode_clean
from millrace.kafka.times import END

TIME = pa.timestamp("us", tz="UTC")
TEXT = pa.string()
AUTHOR = pa.struct([("id", TEXT), ("username", TEXT), ("name", TEXT), ("bot", pa.bool_())])
COLUMNS: dict[str, pa.DataType] = (
    dict.fromkeys(Post.__struct_fields__, TEXT)
    | dict.fromkeys(("event_time", "created_at", "observed_at"), TIME)
    | dict.fromkeys(("replies", "reblogs", "favourites"), pa.int64())
    | {"author": AUTHOR, "hashtags": pa.list_(TEXT)}
)
BAD = "_bad"  # how many bad records a row stands for; null on good rows
NUL_PATTERN = re.escape(NUL).decode()  # RE2 finds it ten times faster than `in` does
OBSERVED = "millrace"  # name of the observed metrics, which the listener reads

Decoded = Iterable[tuple[int, Any]]  # event time in microseconds since 1970, and the post or trade


@dataclass(frozen=True)
class Judge:
    """How records of one schema are read: `whole` takes any value, `clean` one of UTF-8 without escaped NUL.

    Both raise BadRecord, `clean` also what is in REFUSED.
    """

    whole: Callable[[bytes | None], Any]
    clean: Callable[[bytes], Any]


POSTS = Judge(decode, decode_clean)


@dataclass(frozen=True)
class Fold:
    """An analysis's first step, twice: `rows` says it in Spark SQL, `batch` does the same to one decoded Arrow batch.

    A folded batch is far smaller on its way back to the JVM. A test holds the two equal.
    """

    rows: Callable[[DataFrame], DataFrame]
    batch: Callable[[Decoded], pa.RecordBatch]
    schema: pa.Schema
    judge: Judge = POSTS


def posts(records: DataFrame, columns: Iterable[str] = COLUMNS) -> DataFrame:
    """Return post.v1 rows of `columns` from Kafka records (value, timestamp); bad records are counted and left out.

    `event_time` is the Kafka timestamp (milliseconds), which is the event time by contract.
    """
    return rows(records, {name: COLUMNS[name] for name in columns}, POSTS)


def rows(records: DataFrame, columns: Mapping[str, pa.DataType], judge: Judge) -> DataFrame:
    """Do as `posts` for records of another schema: its `columns`, and who judges them."""
    schema = pa.schema(list(columns.items()))
    return _decoded(records, schema, _Columns(schema), judge)


def folded(records: DataFrame, fold: Fold) -> DataFrame:
    """Return `fold.rows` of the rows in `records`, computed batch by batch before they reach the JVM."""
    return _decoded(records, fold.schema, fold.batch, fold.judge)


def spark_schema(schema: pa.Schema) -> StructType:
    """Return the Spark schema of an Arrow schema."""
    return from_arrow_schema(schema)


@dataclass(frozen=True)
class _Columns:
    """Decoded records to one Arrow column a field."""

    schema: pa.Schema

    def __call__(self, decoded: Decoded) -> pa.RecordBatch:
        found = list(decoded)
        return pa.RecordBatch.from_arrays([self._column(field, found) for field in self.schema], schema=self.schema)

    def _column(self, field: pa.Field, decoded: list[tuple[int, Any]]) -> pa.Array:
        if field.name == "event_time":
            return pa.array([time for time, _ in decoded], pa.int64()).cast(field.type)
        values: list[Any] = [getattr(record, field.name) for _, record in decoded]
        if field.name == "author":
            values = [
                author and {name: getattr(author, name) for name in author.__struct_fields__} for author in values
            ]
        return pa.array(values, field.type)


def _decoded(
    records: DataFrame, schema: pa.Schema, build: Callable[[Decoded], pa.RecordBatch], judge: Judge
) -> DataFrame:
    wire = schema.append(pa.field(BAD, pa.int64()))

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            decoding = Decoding(batch, judge)
            built = build(decoding)
            yield pa.RecordBatch.from_arrays([*built.columns, pa.nulls(built.num_rows, pa.int64())], schema=wire)
            if decoding.bad:
                yield pa.RecordBatch.from_pylist([{BAD: decoding.bad}], schema=wire)

    parsed = records.select("value", "timestamp").mapInArrow(run, spark_schema(wire))
    counted = parsed.observe(OBSERVED, F.coalesce(F.sum(BAD), F.lit(0)).alias("bad"))
    return counted.filter(F.col(BAD).isNull()).drop(BAD)


class Decoding:
    """The good records of a (value, timestamp) batch with their event times; counts the bad ones while it is iterated.

    They are handed on one by one, not collected, so that a batch of them never stands in memory.
    """

    def __init__(self, batch: pa.RecordBatch, judge: Judge = POSTS) -> None:
        times = pc.fill_null(batch.column("timestamp").cast(TIME).cast(pa.int64()), -1)  # Kafka's way to say none
        values, usable = batch.column("value"), pc.and_(pc.greater_equal(times, 0), pc.less(times, END * 1000))
        if not pc.all(usable).as_py():
            times, values = times.filter(usable), values.filter(usable)
        self._times, self._values = times, values
        self._judge = judge.clean if _clean(values) else judge.whole
        self.bad = batch.num_rows - len(values)

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        records = zip(self._times.to_pylist(), map(self._judge, self._values.to_pylist()), strict=True)
        while True:
            try:
                yield from records
            except (BadRecord, *REFUSED):  # raised by the one that was read; the next follows
                self.bad += 1
            else:
                return


def _clean(values: pa.BinaryArray) -> bool:
    """Return whether no value needs a closer look, asked of the whole batch at once."""
    try:
        values.cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return values.null_count == 0 and not pc.any(pc.match_substring_regex(values, NUL_PATTERN)).as_py()
