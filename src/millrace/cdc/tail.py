"""Follow a topic of the connector's that may not be there yet."""

import time
from collections.abc import Iterator

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

POLL = 200  # milliseconds

Ends = dict[TopicPartition, int]


def ends(reader: KafkaConsumer, topic: str) -> Ends:
    """Return where the partitions of `topic` end; nothing where it is not there."""
    numbers = reader.partitions_for_topic(topic) if topic in reader.topics() else None
    found: Ends = reader.end_offsets([TopicPartition(topic, each) for each in numbers or ()])
    return found


def follow(reader: KafkaConsumer, topic: str, begin: Ends) -> Iterator[list[ConsumerRecord]]:
    """Yield what comes into `topic` from `begin` on, in its order of time, and nothing now and then; for ever."""
    while True:
        if not reader.assignment() and (places := ends(reader, topic)):
            reader.assign(list(places))
            for place in places:
                reader.seek(place, begin.get(place, 0))
        if reader.assignment():
            records = [record for batch in reader.poll(POLL).values() for record in batch]
            yield sorted(records, key=lambda record: (record.timestamp, record.offset))
        else:
            time.sleep(POLL / 1000)
            yield []
