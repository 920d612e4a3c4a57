"""Looking at topics from the command line: what there is, the newest records, the dead letters."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from millrace.errors import ConfigError, Unavailable
from millrace.kafka.records import between
from millrace.kafka.results import TOPICS
from millrace.kafka.times import iso
from millrace.kafka.topics import DEAD_LETTERS

LETTERS = 100_000  # the newest dead letters that are looked at


@contextmanager
def consumer(bootstrap: str) -> Iterator[KafkaConsumer]:
    """Yield a consumer of committed records without a group; raises Unavailable that names the brokers."""
    try:
        reader = KafkaConsumer(
            bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False,
            bootstrap_timeout_ms=5_000,
        )  # fmt: skip
    except KafkaError as error:
        raise Unavailable(
            f"Kafka at {bootstrap} does not answer ({type(error).__name__}): start it with `millrace up`"
        ) from None
    try:
        yield reader
    finally:
        reader.close()


def overview(bootstrap: str) -> list[dict[str, Any]]:
    """Return a row a topic: topic, partitions, records (offsets in use), key and schema where millrace knows them."""
    with consumer(bootstrap) as reader:
        return [_describe(reader, name) for name in sorted(reader.topics()) if not name.startswith("__")]


def _describe(reader: KafkaConsumer, name: str) -> dict[str, Any]:
    partitions = _partitions(reader, name)
    begins, ends = reader.beginning_offsets(partitions), reader.end_offsets(partitions)
    known = TOPICS.get(name)
    row = {
        "topic": name,
        "partitions": len(partitions),
        "records": sum(ends[p] - begins[p] for p in partitions),
    }
    return row | {"key": known.key if known else "", "schema": known.schema if known else ""}


def newest(bootstrap: str, topic: str, count: int) -> list[ConsumerRecord]:
    """Return the newest `count` committed records, oldest first; raises ConfigError when there is no such topic."""
    with consumer(bootstrap) as reader:
        if topic not in reader.topics():
            raise ConfigError(f"no topic {topic!r} at {bootstrap}: `millrace topics` lists them")
        places = _partitions(reader, topic)
        begins, ends = reader.beginning_offsets(places), reader.end_offsets(places)
        found = [
            record
            for place in places  # transaction markers take offsets too: begin well before
            for record in between(reader, place, max(begins[place], ends[place] - 2 * count - 100), ends[place])
        ]
        return sorted(found, key=lambda record: (record.timestamp, record.offset))[-count:]


def _partitions(reader: KafkaConsumer, topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in sorted(reader.partitions_for_topic(topic) or ())]


def dead_letters(bootstrap: str) -> list[dict[str, Any]]:
    """Return the newest letters, each once by its key, with the time of the record that died."""
    letters = {record.key: record for record in newest(bootstrap, DEAD_LETTERS.name, LETTERS)}
    return [{"time": iso(record.timestamp), **json.loads(record.value)} for record in letters.values()]


def as_json(record: ConsumerRecord) -> dict[str, Any]:
    """Return a record as one JSON object; a value that is no JSON stays text."""
    text = (record.value or b"").decode(errors="replace")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    place = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": iso(record.timestamp),
    }
    headers = {key: (header or b"").decode(errors="replace") for key, header in record.headers}
    return place | {"key": (record.key or b"").decode(errors="replace"), "headers": headers, "value": value}
