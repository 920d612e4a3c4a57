"""gap.v1: when a feed may have lost something; adapters write it before what came after the gap."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from msgspec import Meta

from millrace.errors import BadRecord, Unavailable
from millrace.kafka.topics import GAPS

PATIENCE = 30.0  # seconds
Time = Annotated[datetime, Meta(tz=True)]
Span = tuple[datetime, datetime]


class Gap(msgspec.Struct, kw_only=True):
    """`source` may have lost what happened after `start` and until `end`; equal times are one moment."""

    source: str
    host: str | None = None
    start: Time = msgspec.field(name="from")
    end: Time = msgspec.field(name="to")
    reason: str | None = None


_DECODER = msgspec.json.Decoder(Gap)


def decode(value: bytes | None) -> Gap:
    """Return the gap in a record's value; raises BadRecord with the reason."""
    try:
        return _DECODER.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRecord(str(error)) from None


def encode(source: str, span: Span, reason: str) -> bytes:
    """Return the value of a record of a gap."""
    return msgspec.json.encode(Gap(source=source, start=span[0], end=span[1], reason=reason))


class Gaps:
    """The gaps of one feed, read on from call to call. Not for several threads."""

    def __init__(self, bootstrap: str, source: str) -> None:
        self._bootstrap, self._source = bootstrap, source
        self._consumer: KafkaConsumer | None = None
        self.known: list[Span] = []

    def fresh(self) -> list[Span]:
        """Return what was committed since the last call, and add it to `known`; raises Unavailable."""
        place = TopicPartition(GAPS.name, 0)
        try:
            if self._consumer is None:
                self._consumer = KafkaConsumer(
                    bootstrap_servers=self._bootstrap, isolation_level="read_committed", enable_auto_commit=False,
                    bootstrap_timeout_ms=5_000, fetch_max_wait_ms=10,
                )  # fmt: skip
                self._consumer.assign([place])
                self._consumer.seek_to_beginning(place)
            found = self._read(self._consumer, place)
        except KafkaError as error:
            self.close()
            raise Unavailable(f"Kafka at {self._bootstrap}, topic {GAPS.name}: {type(error).__name__}") from None
        self.known = merged([*self.known, *found])
        return found

    def _read(self, consumer: KafkaConsumer, place: TopicPartition) -> list[Span]:
        end, give_up, found = consumer.end_offsets([place])[place], time.monotonic() + PATIENCE, []
        while consumer.position(place) < end:
            if time.monotonic() > give_up:
                raise Unavailable(f"Kafka at {self._bootstrap}: the topic {GAPS.name} cannot be read to its end")
            for record in consumer.poll(timeout_ms=100).get(place, ()):
                try:
                    gap = decode(record.value)
                except BadRecord:
                    continue
                if gap.source == self._source:
                    found.append((gap.start, gap.end))
        return found

    def close(self) -> None:
        """Let the connection go; the next call reads from the beginning."""
        if self._consumer is not None:
            self._consumer.close()
        self._consumer = None


def merged(spans: Sequence[Span]) -> list[Span]:
    """Return the spans in order, those that touch each other as one."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined
