"""Kafka records as the archive keeps them, in Spark: written as they came, read as Kafka would give them.

A JSON line has key and value as text where they are UTF-8, else as base64; Parquet has their bytes.
"""

from collections.abc import Iterable

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from millrace.archive.log import Part
from millrace.kafka.documents import JSON
from millrace.kafka.utc import utc

PLACE = "topic STRING, partition INT, offset BIGINT, timestamp TIMESTAMP"
HEADERS = "headers ARRAY<STRUCT<key: STRING, value: BINARY>>"
SCHEMAS = {
    "jsonl": f"{PLACE}, {HEADERS}, key STRING, key_base64 BINARY, value STRING, value_base64 BINARY",
    "parquet": f"{PLACE}, {HEADERS}, key BINARY, value BINARY",
}
FORMATS = {"jsonl": "json", "parquet": "parquet"}  # as Spark calls them
COMPRESSION = {"jsonl": {"compression": "gzip", **JSON, "ignoreNullFields": "true"}, "parquet": {"compression": "zstd"}}
PARTITIONS = ["source", "date", "hour", "batch_id"]
KAFKA = ["key", "value", "topic", "partition", "offset", "timestamp", "headers"]


def shaped(records: DataFrame, form: str) -> DataFrame:
    """Return Kafka records (with headers) in the columns of `form`, and the source, date and hour they belong to."""
    place = [F.col(name) for name in ("topic", "partition", "offset", "timestamp", "headers")]
    body = _text("key") + _text("value") if form == "jsonl" else [F.col("key"), F.col("value")]
    where = [
        F.col("topic").alias("source"),
        utc("timestamp", "yyyy-MM-dd").alias("date"),
        utc("timestamp", "HH").alias("hour"),
    ]
    return records.select(*place, *body, *where)


def read(spark: SparkSession, url: str, topic: str, parts: Iterable[Part]) -> DataFrame:
    """Return the records of `parts` of an archived topic, in the columns of Kafka: those of KAFKA."""
    frames = spark.createDataFrame([], SCHEMAS["parquet"]).select(*KAFKA)
    chosen = list(parts)
    for form in SCHEMAS:
        folders = [f"{url}/source={topic}/{part.folder}" for part in chosen if part.format == form]
        if folders:
            frames = frames.unionByName(_read(spark, form, folders))
    return frames


def _read(spark: SparkSession, form: str, folders: list[str]) -> DataFrame:
    reader = spark.read.schema(SCHEMAS[form])
    if form == "parquet":
        return reader.parquet(*folders).select(*KAFKA)
    rows = reader.options(mode="FAILFAST", timestampFormat=JSON["timestampFormat"]).json(folders)
    return rows.withColumns({name: _bytes(name) for name in ("key", "value")}).select(*KAFKA)


def _text(name: str) -> list[Column]:
    text = F.col(name).cast("string")
    plain = F.is_valid_utf8(text)
    return [F.when(plain, text).alias(name), F.when(~plain, F.col(name)).alias(f"{name}_base64")]


def _bytes(name: str) -> Column:
    return F.coalesce(F.encode(name, "utf-8"), F.col(f"{name}_base64"))
