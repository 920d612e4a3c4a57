"""What of the copied tables' topics the job has read by now: changes a second, and of when the oldest unread one is."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from millrace.cdc import lag
from millrace.kafka import browse

MINUTE = 60  # seconds over which changes are counted
PATIENCE = 2.0  # seconds for the oldest unread records to come

Offsets = dict[TopicPartition, int]


@dataclass(frozen=True)
class Flow:
    """Of one table: changes a second in the last minute, records that are unread, and the age in seconds of the oldest.

    `age` counts from the change at the source; it is 0 when all is read, None where it is not known in time. A delete
    is two records: the change, and the tombstone for Kafka.
    """

    changes: float
    unread: int
    age: float | None


def read_to(home: Path) -> Mapping[str, Mapping[str, int]]:
    """Return, by topic and partition, up to where jobs have written; nothing where none has begun."""
    found: dict[str, Mapping[str, int]] = {}
    for path in sorted(home.glob("run/cdc*.json")):
        try:
            found |= json.loads(path.read_text()).get("end_offsets") or {}
        except (OSError, ValueError, AttributeError):  # it is being replaced, or nobody's
            continue
    return found or lag.read_to(home) or {}


def flows(bootstrap: str, topics: Mapping[str, str], done: Mapping[str, Mapping[str, int]]) -> dict[str, Flow]:
    """Return the flow of each table in `topics` whose topic is there; raises Unavailable where Kafka is not."""
    with browse.consumer(bootstrap) as reader:
        there = {table: topic for table, topic in topics.items() if topic in reader.topics()}
        places = [
            TopicPartition(topic, n) for topic in there.values() for n in reader.partitions_for_topic(topic) or ()
        ]
        begins, ends = reader.beginning_offsets(places), reader.end_offsets(places)
        before = reader.offsets_for_times(dict.fromkeys(places, round((time.time() - MINUTE) * 1000))) if places else {}
        recent = {place: ends[place] - found.offset if (found := before.get(place)) else 0 for place in places}
        at = {each: max(begins[each], done.get(each.topic, {}).get(str(each.partition), 0)) for each in places}
        unread = {each: max(0, ends[each] - at[each]) for each in places}
        ages = _ages(reader, {each: at[each] for each in places if unread[each]})
    found = {}
    for table, topic in there.items():
        own = [each for each in places if each.topic == topic]
        waiting = [ages.get(each) for each in own if unread[each]]
        age = max((each for each in waiting if each is not None), default=None if waiting else 0.0)
        found[table] = Flow(sum(recent[each] for each in own) / MINUTE, sum(unread[each] for each in own), age)
    return found


def _ages(reader: KafkaConsumer, begin: Offsets) -> dict[TopicPartition, float]:
    """Return how many seconds ago the change at each place was made, of those that come in time."""
    found: dict[TopicPartition, float] = {}
    reader.assign(list(begin))
    for place, offset in begin.items():
        reader.seek(place, offset)
    deadline = time.monotonic() + PATIENCE
    while len(found) < len(begin) and time.monotonic() < deadline:
        for place, records in reader.poll(200).items():
            found.setdefault(place, max(0.0, time.time() - _moment(records[0])))
    return found


def _moment(record: ConsumerRecord) -> float:
    """Return when a change was made at the source; a tombstone knows only when it was written."""
    try:
        return float(json.loads(record.value)["source"]["ts_ms"]) / 1000
    except (TypeError, ValueError, KeyError):
        return float(record.timestamp) / 1000
