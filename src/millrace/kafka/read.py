"""Kafka to Spark: committed records of topics, as a stream or as a batch."""

import logging
import time
from collections.abc import Callable, Sequence

from pyspark.sql import DataFrame, SparkSession

from millrace.kafka.topics import existing

log = logging.getLogger(__name__)
MAX_OFFSETS = 500_000  # records a micro-batch, so that a backlog comes in bounded bites
MAX_RECORDS_PER_TASK = 50_000  # so that no core waits for the one that reads the last partition

# After each poll Spark asks for the topic's first and last offset, on a connection whose last fetch may still wait
# for records. By default it waits half a second and a poll ends after 500 records: a third of a task's time.
FETCH_WAIT = "1"
MAX_POLL = str(MAX_RECORDS_PER_TASK)  # all that was fetched; the size of a fetch, 1 MB a partition, bounds it


def stream(
    spark: SparkSession,
    bootstrap: str,
    topics: Sequence[str],
    start: str = "earliest",
    max_offsets: int | None = MAX_OFFSETS,
    *,
    headers: bool = False,
) -> DataFrame:
    """Return committed records as they arrive: key, value, topic, partition, offset, timestamp (event time).

    `start` is earliest, latest, or JSON of offsets as Spark takes it. With `headers` there is a column of them.

    Records that retention removed before they were read stop the query with an error: nothing is lost silently.
    `max_offsets` bounds a micro-batch; None where there is none (real-time mode).
    """
    options = {"startingOffsets": start, "failOnDataLoss": "true", "includeHeaders": str(headers).lower()}
    if max_offsets is not None:
        options |= {"maxOffsetsPerTrigger": str(max_offsets), "maxRecordsPerPartition": str(MAX_RECORDS_PER_TASK)}
    return spark.readStream.format("kafka").options(**{**_common(bootstrap, topics), **options}).load()


def batch(spark: SparkSession, bootstrap: str, topics: Sequence[str]) -> DataFrame:
    """Return all committed records that the topics hold now, in the shape of `stream`."""
    return spark.read.format("kafka").options(**_common(bootstrap, topics)).load()


def _common(bootstrap: str, topics: Sequence[str]) -> dict[str, str]:
    return {
        "kafka.bootstrap.servers": bootstrap,
        "subscribe": ",".join(topics),
        "kafka.isolation.level": "read_committed",
        "kafka.fetch.max.wait.ms": FETCH_WAIT,
        "kafka.max.poll.records": MAX_POLL,
        "includeHeaders": "false",
    }


def wait_for_topics(
    bootstrap: str,
    topics: Sequence[str],
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """Return once every topic exists, or as soon as `pause(seconds)` is true; says what it waits for, every 30 s."""
    waited = 0
    while True:
        missing = [topic for topic in topics if topic not in existing(bootstrap)]
        if not missing:
            return
        if waited % 30 == 0:
            log.warning("waiting for topics at %s: %s", bootstrap, ", ".join(missing))
        if pause(1):  # asked to stop
            return
        waited += 1
