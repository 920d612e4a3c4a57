"""Republish candles as incomplete, if they were published before a gap in their window was known."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from millrace.errors import BadRecord, Unavailable
from millrace.kafka import candles
from millrace.kafka.gaps import Span
from millrace.kafka.records import between

AHEAD = timedelta(minutes=5)  # a trade may be written this long before its event time
WHOLE = re.compile(rb'"complete"\s*:\s*true')


def mark_incomplete(bootstrap: str, topics: Iterable[str], gaps: Sequence[Span], longest: timedelta) -> int:
    """Republish, as incomplete, each candle that one of `gaps` touches and that says it is complete.

    Returns how many; raises Unavailable. A candle is written after its window began, maybe only once and long before
    the gap, so the topics are read from `longest` (the longest of all windows) before the first gap on.

    Delivery: at-least-once; a repeated record says the same.
    """
    since = min(start for start, _ in gaps) - longest - AHEAD
    options = {"bootstrap_servers": bootstrap, "bootstrap_timeout_ms": 5_000}
    try:
        consumer = KafkaConsumer(**options, isolation_level="read_committed", enable_auto_commit=False)
        producer = KafkaProducer(**options, acks="all")
        try:
            sent = 0
            for topic in topics:
                for record in _touched(consumer, topic, int(since.timestamp() * 1000), gaps):
                    producer.send(
                        topic, WHOLE.sub(b'"complete":false', record.value), record.key, headers=record.headers
                    )
                    sent += 1
            producer.flush()
            return sent
        finally:
            consumer.close()
            producer.close()
    except KafkaError as error:
        raise Unavailable(f"Kafka at {bootstrap}: {type(error).__name__}") from None


def _touched(consumer: KafkaConsumer, topic: str, since: int, gaps: Sequence[Span]) -> Iterator[ConsumerRecord]:
    """Yield the last record of each candle, if it says that it is complete and a gap touches it."""
    last = {record.key: record for record in _records(consumer, topic, since)}
    for record in last.values():
        try:
            candle = candles.decode(record.value)
        except BadRecord:  # written by another program
            continue
        touched = any(candle.window_start <= end and candle.window_end > start for start, end in gaps)
        if touched and candle.complete:
            yield record


def _records(consumer: KafkaConsumer, topic: str, since: int) -> Iterator[ConsumerRecord]:
    for number in sorted(consumer.partitions_for_topic(topic) or ()):
        place = TopicPartition(topic, number)
        consumer.assign([place])
        end = consumer.end_offsets([place])[place]
        found = consumer.offsets_for_times({place: since})[place]
        if found is not None:
            yield from between(consumer, place, found.offset, end)
