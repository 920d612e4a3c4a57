"""Candles that were published before a gap was known are published again, as incomplete."""

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

AHEAD = timedelta(minutes=5)  # so much sooner than its event time a trade may be written
WHOLE = re.compile(rb'"complete"\s*:\s*true')


def mark_incomplete(bootstrap: str, topics: Iterable[str], gaps: Sequence[Span], longest: timedelta) -> int:
    """Publish each candle that one of `gaps` touches and that says it is complete again, as incomplete.

    Returns how many; raises Unavailable. A candle is written after its window began, maybe once, long before the gap:
    the topics are read from the `longest` of all windows before the first gap on.

    Delivery: at-least-once; what is repeated says the same.
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
    """Return the last record of each candle, where it says that it is complete and a gap touches it."""
    last = {record.key: record for record in _records(consumer, topic, since)}
    for record in last.values():
        try:
            candle = candles.decode(record.value)
        except BadRecord:  # another program's
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
