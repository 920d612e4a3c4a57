"""Run a short stream that loads what every job loads; `recorder.build` runs it under the JDK's recorder."""

import tempfile
import time

from pyspark.sql import DataFrame, SparkSession

from millrace.kafka import parse, read
from millrace.queries.hashtags import count_uses, fold

PATIENCE = 60  # seconds
BATCHES = 15  # the recorder keeps profiles of what ran often: with one batch a start takes two seconds longer


def main(bootstrap: str, topic: str) -> None:
    """Run some micro-batches of the hashtag job on a topic that holds posts, and write the result nowhere."""
    spark = SparkSession.builder.appName("millrace start-up cache").getOrCreate()
    spark.conf.set("spark.sql.shuffle.partitions", "2")
    records = read.stream(spark, bootstrap, [topic], max_offsets=60)
    counts = count_uses(parse.folded(records, fold()).withWatermark("event_time", "10 minutes"))
    with tempfile.TemporaryDirectory() as checkpoint:
        stream = counts.writeStream.outputMode("update").option("checkpointLocation", checkpoint)
        query = stream.foreachBatch(_collect).start()
        deadline = time.monotonic() + PATIENCE
        while query.isActive and len(query.recentProgress) < BATCHES and time.monotonic() < deadline:
            query.awaitTermination(1)
        if not query.recentProgress:
            raise SystemExit(f"no batch from {topic} at {bootstrap} within {PATIENCE} s: nothing to keep")
        query.stop()
    spark.stop()


def _collect(batch: DataFrame, batch_id: int) -> None:
    batch.toArrow()
