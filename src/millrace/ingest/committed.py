"""What is already committed in Kafka: a feed's cursor and the ids of its last events."""

from collections.abc import Iterator

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from millrace.errors import Unavailable
from millrace.ingest.events import Cursor
from millrace.ingest.values import read_cursor
from millrace.kafka.records import between
from millrace.kafka.topics import CURSORS

TAIL = 1000  # records of the cursors' topic that are looked at first


def last_cursor(bootstrap: str, feed: str, settled: bool = True) -> Cursor | None:
    """Return the committed cursor of `feed`, None where there is none.

    `settled` waits for other feeds' open transactions, which hide what was committed after they began.
    """
    place = TopicPartition(CURSORS.name, 0)
    with _consumer(bootstrap, [place]) as consumer:
        first = consumer.beginning_offsets([place])[place]
        end = _ends(bootstrap, [place])[place] if settled else consumer.end_offsets([place])[place]
        reach = TAIL
        while True:  # the topic is compacted late: the last cursor is near the end, so look from there
            start = max(first, end - reach)
            found = [record.value for record in between(consumer, place, start, end) if record.key == feed.encode()]
            if found or start == first:
                return read_cursor(found[-1]) if found else None
            reach *= 8


def recent_ids(bootstrap: str, topic: str, limit: int) -> list[str]:
    """Return the header `event_id` of about the last `limit` committed records of `topic`, oldest first.

    It waits for open transactions of others, which hide what was committed after they began.
    """
    with _consumer(bootstrap) as consumer:
        places = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        firsts, ends = consumer.beginning_offsets(places), _ends(bootstrap, places)
        share = limit // max(1, len(places))
        found = [
            (record.timestamp, value.decode())
            for place in places
            for record in between(consumer, place, max(firsts[place], ends[place] - share), ends[place])
            for name, value in record.headers
            if name == "event_id"
        ]
    return [event_id for _, event_id in sorted(found)]


def keys(bootstrap: str, topic: str) -> Iterator[bytes]:
    """Yield the key of each committed record of `topic`, partition by partition.

    It waits for open transactions, which hide what was committed after they began. Raises Unavailable when Kafka does
    not answer.
    """
    try:
        with _consumer(bootstrap) as consumer:
            places = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
            firsts, ends = consumer.beginning_offsets(places), _ends(bootstrap, places)
            for place in places:
                yield from (record.key for record in between(consumer, place, firsts[place], ends[place]))
    except KafkaError as error:
        raise Unavailable(f"Kafka at {bootstrap}: {error}") from error


def records_since(bootstrap: str, topic: str, moment: int) -> Iterator[ConsumerRecord]:
    """Yield the committed records of `topic`, none where there is no such topic, from `moment` (milliseconds) on.

    They come partition by partition. Raises Unavailable when Kafka does not answer.
    """
    try:
        with _consumer(bootstrap) as consumer:
            places = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
            ends = consumer.end_offsets(places)
            for place, found in consumer.offsets_for_times(dict.fromkeys(places, moment)).items():
                if found is not None:
                    yield from between(consumer, place, found.offset, ends[place])
    except KafkaError as error:
        raise Unavailable(f"Kafka at {bootstrap}: {error}") from error


def _consumer(bootstrap: str, places: list[TopicPartition] | None = None) -> KafkaConsumer:
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        metrics_enabled=False,
    )
    consumer.assign(places or [])
    return consumer


def _ends(bootstrap: str, places: list[TopicPartition]) -> dict[TopicPartition, int]:
    """The ends of the log with open transactions."""
    with KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False) as consumer:
        return dict(consumer.end_offsets(places))
