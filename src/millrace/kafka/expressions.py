"""Kafka records to rows of post.v1 by Spark's own expressions: for real-time mode, where no Python may run."""

from collections.abc import Iterable
from functools import reduce
from operator import and_
from typing import get_args

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from millrace.kafka.parse import COLUMNS, OBSERVED, spark_schema
from millrace.kafka.posts import Operation
from millrace.kafka.times import END

REQUIRED = ("id", "event_id", "source", "event_time", "operation")
COUNTERS = ("replies", "reblogs", "favourites")
_NO_RECORD = "_corrupt"
_NUL = r"(?<!\\)(?:\\\\)*\\u0000"  # as JSON spells it, and not after a backslash that stands for itself


def posts(records: DataFrame, columns: Iterable[str] = COLUMNS) -> DataFrame:
    """Return post.v1 rows as `parse.posts` does; bad records are counted and left out.

    Spark judges more mildly: it takes a number for text and a time without zone for UTC, and stops after the object.
    """
    schema = spark_schema(pa.schema(list(COLUMNS.items()))).add(_NO_RECORD, "string")  # the whole record must be right
    text = F.col("value").cast("string")
    parsed = F.from_json(text, schema, {"columnNameOfCorruptRecord": _NO_RECORD}).alias("post")
    judged = records.select("timestamp", parsed, (F.is_valid_utf8(text) & ~text.rlike(_NUL)).alias("plain"))
    counted = judged.observe(OBSERVED, F.count_if(~_is_good()).alias("bad"))
    return counted.filter(_is_good()).select(*map(_column, columns))


def _is_good() -> Column:
    whole = F.col("post").isNotNull() & F.col(f"post.{_NO_RECORD}").isNull() & F.col("plain")
    rules = [
        F.unix_millis("timestamp").between(0, END - 1),
        *(F.col(f"post.{name}").isNotNull() for name in REQUIRED),
        F.col("post.operation").isin(*get_args(Operation)),
        *(F.coalesce(F.col(f"post.{name}") >= 0, F.lit(True)) for name in COUNTERS),
        F.coalesce(~F.exists("post.hashtags", F.isnull), F.lit(True)),
    ]
    return F.coalesce(reduce(and_, rules, whole), F.lit(False))


def _column(name: str) -> Column:
    if name == "event_time":  # the Kafka timestamp, which is the event time by contract
        return F.col("timestamp").alias(name)
    if name == "hashtags":
        return F.coalesce("post.hashtags", F.array().cast("array<string>")).alias(name)
    return F.col(f"post.{name}").alias(name)
