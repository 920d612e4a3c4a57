"""The hashtag job done in other ways, with the same options, sink and log, for `benchmarks.hashtags`.

raw         count the records of each micro-batch, read as Spark does by default: what others compare with
counted     the same, read as millrace does
from_json   Spark SQL alone
pyarrow     pyarrow.json over whole Arrow batches, which one bad record breaks
naive       a Python function a row; run under Spark's default settings
"""

import json
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from datetime import datetime

import pyarrow as pa
import pyarrow.json as pj
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from millrace.applications import inputs, outputs
from millrace.applications.application import ending
from millrace.kafka import read
from millrace.kafka.results import HASHTAG_COUNTS
from millrace.queries.hashtags import hashtag_counts
from millrace.spark import session
from millrace.spark.options import Options, parse
from millrace.spark.supervisor import start

NEEDED = "source STRING, operation STRING, hashtags ARRAY<STRING>"
SCHEMA = pa.schema([("source", pa.string()), ("operation", pa.string()), ("hashtags", pa.list_(pa.string()))])


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--variant", choices=(*VARIANTS, "raw", "counted"), required=True)


def from_json(records: DataFrame) -> DataFrame:
    post = F.from_json(F.col("value").cast("string"), NEEDED)
    return records.select(post.alias("post"), F.col("timestamp").alias("event_time")).select("post.*", "event_time")


def pyarrow(records: DataFrame) -> DataFrame:
    options = pj.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="ignore")

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            text = b"\n".join(batch.column("value").to_pylist())
            table = pj.read_json(pa.BufferReader(text), parse_options=options)
            table = table.append_column("event_time", pa.chunked_array([batch.column("timestamp")]))
            yield from table.to_batches()

    return records.select("value", "timestamp").mapInArrow(run, f"{NEEDED}, event_time TIMESTAMP")


def naive(records: DataFrame) -> DataFrame:
    @F.udf(f"{NEEDED}, event_time TIMESTAMP")
    def parse(value: bytes) -> tuple[str, str, list[str], datetime]:
        post = json.loads(value)
        return post["source"], post["operation"], post["hashtags"], datetime.fromisoformat(post["event_time"])

    return records.select(parse("value").alias("post")).select("post.*")


VARIANTS: dict[str, Callable[[DataFrame], DataFrame]] = {"from_json": from_json, "pyarrow": pyarrow, "naive": naive}


def spark_session(options: Options) -> SparkSession:
    """The naive way keeps Spark's own settings; the others get ours."""
    if options.args.variant == "naive":
        return SparkSession.builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()
    return session.create(options)


def plain(spark: SparkSession, options: Options) -> DataFrame:
    """The topic in tasks as large as ours, by a consumer with Kafka's own settings."""
    bites = {"maxOffsetsPerTrigger": options.args.max_offsets, "maxRecordsPerPartition": read.MAX_RECORDS_PER_TASK}
    where = {"kafka.bootstrap.servers": options.bootstrap, "subscribe": ",".join(options.topics)}
    return spark.readStream.format("kafka").options(startingOffsets="earliest", **where, **bites).load()


def count(batch: DataFrame, batch_id: int) -> None:
    batch.count()


def main() -> None:
    options = parse("variants", __doc__, add=arguments)
    spark = spark_session(options)
    if options.args.variant == "raw":
        start(options, plain(spark, options), count)
        return
    records = inputs.records(spark, options)
    if options.args.variant == "counted":
        start(options, records, count)
        return
    posts = VARIANTS[options.args.variant](records)
    writer = outputs.writer(options, HASHTAG_COUNTS)
    start(options, hashtag_counts(posts), writer)


if __name__ == "__main__":
    with ending():
        main()
