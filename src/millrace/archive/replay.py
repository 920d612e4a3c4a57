"""The archive back into Kafka: keys, values, headers, timestamps and partitions as they were."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from kafka import KafkaProducer
from kafka.errors import KafkaError

from millrace.archive import beyond, census, records
from millrace.archive.files import Files
from millrace.archive.left_out import LeftOut
from millrace.archive.log import Log, Part, begin
from millrace.archive.records import Record
from millrace.errors import ConfigError, Unavailable
from millrace.kafka import times, topics
from millrace.kafka.gaps import encode
from millrace.kafka.results import TOPICS
from millrace.kafka.times import EPOCH, MILLISECOND
from millrace.kafka.topics import GAPS, Topic
from millrace.logs import say

SUFFIX = "-replay"
REASON = "not replayed"
FLUSH = 20_000  # records on their way at most
AHEAD = 1.0  # seconds of sleep, and without a look at Kafka's answers, at most

Advance = Callable[[int], object]


@dataclass(frozen=True)
class Span:
    """From `start` on, up to but without `end`, by the records' timestamps; None: no bound."""

    start: datetime | None = None
    end: datetime | None = None

    def has(self, record: Record) -> bool:
        """Return whether a record lies within."""
        age = record.timestamp * MILLISECOND
        return (self.start is None or age >= self.start - EPOCH) and (self.end is None or age < self.end - EPOCH)

    def touches(self, hour: str) -> bool:
        """Return whether any of an hour's records may lie within."""
        first, last = begin(hour), begin(hour) + 3600
        return (self.start is None or last > self.start.timestamp()) and (
            self.end is None or first <= self.end.timestamp()
        )


EVERYTHING = Span()


def span(start: datetime | None, end: datetime | None) -> Span:
    """Return the span between two times; those without a zone are UTC."""
    bounds = [each and (each.astimezone(UTC) if each.tzinfo else each.replace(tzinfo=UTC)) for each in (start, end)]
    return Span(*bounds)


def rows(files: Files, topic: str, span: Span) -> int:
    """Return how many records the hours that `span` touches have."""
    return sum(part.rows for hour, parts in _state(files, topic) if span.touches(hour) for part in parts)


def read(files: Files, topic: str, span: Span) -> Iterator[Record]:
    """Yield the archived records of `topic` within `span`, in the order of their timestamps."""
    for hour, parts in _state(files, topic):
        if span.touches(hour):
            yield from filter(span.has, records.read(files, topic, parts))


def replay(
    files: Files,
    topic: str,
    bootstrap: str,
    target: str | None = None,
    *,
    span: Span = EVERYTHING,
    speed: float = 0.0,
    advance: Advance = lambda count: None,
    stop: threading.Event | None = None,
) -> int:
    """Write the archived records of `topic` into `target` (default: TOPIC-replay) and return how many, until `stop`.

    `speed` 1 keeps the pace of their timestamps, 10 is ten times as fast, 0 as fast as Kafka takes them. The target
    is created with as many partitions; each record goes to its own. Records of the future, which topics refuse, stay in
    the archive, and one line says so. Raises ConfigError when there is no such topic in the archive, Unavailable when
    the brokers do not take a record.

    What it leaves out of the topic is noted in the topic `gaps` at its end: jobs write no window there.

    Delivery: at-least-once: a second replay into the same topic writes everything again.
    """
    state = Log(files, census.chosen(files, [topic])[0]).load()
    partitions = 1 + max(state.offsets, default=0)
    name = target or topic + SUFFIX
    known = TOPICS.get(topic)
    made = Topic(name, known.key if known else "", known.schema if known else "")
    topics.create(bootstrap, [made, GAPS], partitions)
    left = LeftOut(state, span.start, span.end)
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=20, compression_type="gzip")
    try:
        _fits(producer, name, partitions)
        stop = stop or threading.Event()
        found = map(left.seen, _past(read(files, topic, span), left))
        sent = _send(producer, name, found, speed=speed, advance=advance, stop=stop)
        for gap in left.gaps(*beyond.later(bootstrap, topic, state.next()), stopped=stop.is_set()):
            producer.send(GAPS.name, encode(name, gap, REASON), name.encode())
        producer.flush()
        return sent
    except KafkaError as error:
        raise Unavailable(f"Kafka at {bootstrap}, topic {name}: {type(error).__name__}: {error}") from None
    finally:
        producer.close()


def _past(found: Iterator[Record], left: LeftOut) -> Iterator[Record]:
    """Yield the records that are not of the future, and say how many the others are and where the first is."""
    first, count = None, 0
    for record in found:
        if record.timestamp * MILLISECOND <= datetime.now(UTC) + times.AHEAD - EPOCH:
            yield record
        else:
            first, count = first or record, count + 1
    if first:
        left.refused(first)
        place = f"{first.topic}[{first.partition}] at offset {first.offset}, of {times.iso(first.timestamp)}"
        say(f"left in the archive: records of the future, which topics refuse: {count}, the first {place}")


def _send(
    producer: KafkaProducer,
    name: str,
    found: Iterator[Record],
    *,
    speed: float,
    advance: Advance,
    stop: threading.Event,
) -> int:
    sent, waiting, begun, first = 0, [], time.monotonic(), None
    looked = begun
    for record in found:
        if record.timestamp >= 0:  # before 1970 it is none to keep pace by
            first = record.timestamp if first is None else first
            _keep_pace((record.timestamp - first) / 1000, begun, speed, stop.wait)
        if stop.is_set():
            break
        # Two nulls that the client refuses: of a header, and of a record without key.
        value = b"" if record.key is None and record.value is None else record.value
        headers = [(key, text or b"") for key, text in record.headers]
        waiting.append(producer.send(
            name, value, key=record.key, headers=headers, partition=record.partition,
            timestamp_ms=record.timestamp,
        ))  # fmt: skip
        if len(waiting) == FLUSH or time.monotonic() > looked + AHEAD:
            sent += _acknowledged(producer, waiting, advance)
            looked = time.monotonic()
    return sent + _acknowledged(producer, waiting, advance)


def _acknowledged(producer: KafkaProducer, waiting: list, advance: Advance) -> int:  # type: ignore[type-arg]
    producer.flush()
    for each in waiting:
        each.get(30)
    count = len(waiting)
    waiting.clear()
    advance(count)
    return count


def _keep_pace(age: float, begun: float, speed: float, wait: Callable[[float], bool]) -> None:
    """Wait until a record that is `age` seconds younger than the first is due, or `wait` is over."""
    while speed and (early := age / speed - (time.monotonic() - begun)) > 0 and not wait(min(early, AHEAD)):
        pass


def _fits(producer: KafkaProducer, name: str, partitions: int) -> None:
    there = len(producer.partitions_for(name) or ())
    if there < partitions:
        raise ConfigError(
            f"topic {name} has {there} partitions, the archive {partitions}: replay into another (--into)"
        )


def _state(files: Files, topic: str) -> list[tuple[str, list[Part]]]:
    return list(Log(files, census.chosen(files, [topic])[0]).load().hours().items())
