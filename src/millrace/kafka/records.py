"""Committed records of one partition, from one offset to another: for resuming and for looking."""

import time
from collections.abc import Iterator

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from millrace.errors import Unavailable

DEADLINE = 60.0  # seconds; longer than any transaction may stay open


def between(consumer: KafkaConsumer, place: TopicPartition, start: int, end: int) -> Iterator[ConsumerRecord]:
    """Yield the committed records from `start` up to `end`, not what is written meanwhile; assigns `place`.

    Raises Unavailable when a transaction that is open for DEADLINE seconds hides some of them.
    """
    consumer.assign([place])
    consumer.seek(place, start)
    reached, deadline = start, time.monotonic() + DEADLINE
    while (position := consumer.position(place)) < end:
        if position > reached:
            reached, deadline = position, time.monotonic() + DEADLINE
        elif time.monotonic() > deadline:
            open_since = f"partition {place.partition} ends at {end}, but is not readable from {position} on"
            raise Unavailable(f"Kafka: {place.topic} has had an open transaction for {DEADLINE:g} s: {open_since}")
        for record in consumer.poll(timeout_ms=500).get(place, ()):
            if record.offset < end:
                yield record
