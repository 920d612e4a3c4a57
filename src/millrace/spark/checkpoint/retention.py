"""After a lost checkpoint, skip windows that began before the earliest record Kafka still retains."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from millrace.sinks.together import Writer
from millrace.spark.options import Options

NOTE = "retained-from.json"


def keep_whole_windows(writer: Writer, options: Options) -> Writer:
    """Return `writer` without windows that began before the earliest record retained at the first start.

    Such windows would be incomplete and overwrite right counts. The moment is noted in the checkpoint, so that it
    survives restarts. While no topic is truncated, `writer` itself is returned.
    """
    moment = _moment(options)
    if moment is None:
        return writer

    def write(batch: DataFrame, batch_id: int) -> None:
        whole = batch.filter(F.col("window_start") >= F.lit(moment)) if "window_start" in batch.columns else batch
        writer(whole, batch_id)

    return write


def _moment(options: Options) -> datetime | None:
    if "://" in options.checkpoint:
        return None
    note = Path(options.checkpoint) / NOTE
    if not note.exists():
        millis = earliest_retained(options.bootstrap, options.topics)
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"milliseconds": millis}))
    millis = json.loads(note.read_text())["milliseconds"]
    return None if millis is None else datetime.fromtimestamp(millis / 1000, UTC)


def earliest_retained(bootstrap: str, topics: list[str]) -> int | None:
    """Return the event time (ms) from which all truncated partitions are complete, None if none is truncated."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False)
    try:
        partitions = [TopicPartition(topic, p) for topic in topics for p in consumer.partitions_for_topic(topic) or ()]
        begins = consumer.beginning_offsets(partitions)
        ends = consumer.end_offsets(partitions)
        cut = [partition for partition in partitions if 0 < begins[partition] < ends[partition]]
        emptied = any(
            0 < begins[partition] == ends[partition] for partition in partitions
        )  # how recent their lost records were is unknown
        times = [_first_timestamp(consumer, partition) for partition in cut]
        return max([*times, *([int(time.time() * 1000)] if emptied else [])], default=None)
    finally:
        consumer.close()


def _first_timestamp(consumer: KafkaConsumer, partition: TopicPartition) -> int:
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    records = consumer.poll(timeout_ms=10_000, max_records=1).get(partition, [])
    return min(max(0, records[0].timestamp), int(time.time() * 1000)) if records else 0  # whatever it says
