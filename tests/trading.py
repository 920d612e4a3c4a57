"""What is right to find of a double's trades: each that was sent, once, and a gap over each that was not."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import chain
from typing import Any

import orjson
from kafka import KafkaConsumer, TopicPartition

from millrace.config import Settings
from millrace.kafka import results, topics
from millrace.kafka.trades import Trade, decode
from millrace.simulate.exchange import Exchange
from tests.support import reader

SYMBOLS = ("AAPL", "BINANCE:BTCUSDT", "OANDA:EUR_USD")
Key = tuple[str, str, str, int, tuple[str, ...]]  # symbol, price, volume, milliseconds, conditions
Span = tuple[int, int]  # microseconds


def right(exchange: Exchange) -> tuple[dict[str, Any], Counter[Key], Counter[Key]]:
    """Return the summary, and the trades that were sent and those that nobody heard."""
    summary, *lines = exchange.lines()
    found: tuple[Counter[Key], Counter[Key]] = (Counter(), Counter())
    for line in lines:
        key = (line["symbol"], line["price"], line["volume"], line["event_time"], tuple(line["conditions"]))
        found[line["sent"]][key] += 1
    return summary, found[True], found[False]


def keys(trades: Iterable[Trade]) -> Counter[Key]:
    return Counter(
        (each.symbol, str(each.price), str(each.volume), round(each.event_time.timestamp() * 1000),
         tuple(each.conditions))
        for each in trades
    )  # fmt: skip


def uncovered(exchange: Exchange, written: Counter[Key], gaps: list[Span]) -> list[Key]:
    """Return what is missing in no gap, from the first subscription to the last trade; something is missing.

    What was lost later shows when the adapter is back.
    """
    _, sent, lost = right(exchange)
    assert not written - sent
    missing = lost + (sent - written)
    assert missing
    begin, last = min(start for start, _ in gaps), max(key[3] for key in written)
    return [
        key
        for key in missing
        if begin <= key[3] * 1000 <= last * 1000 and not any(start <= key[3] * 1000 <= end for start, end in gaps)
    ]


class Committed:
    """What was committed of a feed, such as Finnhub's, since this object was made; one consumer reads it all."""

    def __init__(self, consumer: KafkaConsumer, topic: str, feed: str) -> None:
        self.consumer, self.topic, self.feed = consumer, topic, feed.encode()
        names = (topic, "gaps", "dead-letters")
        self.places = [TopicPartition(name, number)
                       for name in names for number in consumer.partitions_for_topic(name) or ()]  # fmt: skip
        consumer.assign(self.places)
        for place, end in consumer.end_offsets(self.places).items():
            consumer.seek(place, end)
        self.found: dict[str, list[Any]] = {name: [] for name in names}

    def of(self, topic: str) -> list[Any]:
        """Return all records of a topic until now."""
        ends = self.consumer.end_offsets(self.places)
        while any(self.consumer.position(place) < ends[place] for place in self.places):
            for record in chain(*self.consumer.poll(timeout_ms=200).values()):
                self.found[record.topic].append(record)
        return self.found[topic]

    def records(self) -> list[Any]:
        return self.of(self.topic)

    def trades(self) -> list[Trade]:
        """Return the trades in the order of their sequence, each of which is there once."""
        found = sorted((decode(each.value) for each in self.records()), key=lambda each: each.sequence)
        assert len({each.sequence for each in found}) == len(found)
        return found

    def gap_records(self) -> list[Any]:
        return [each for each in self.of("gaps") if each.key == self.feed]

    def gaps(self) -> list[dict[str, str]]:
        return [orjson.loads(each.value) for each in self.gap_records()]

    def spans(self) -> list[Span]:
        return [(_micros(gap["from"]), _micros(gap["to"])) for gap in self.gaps()]

    def letters(self) -> list[dict[str, Any]]:
        return [orjson.loads(each.value) for each in self.of("dead-letters") if each.key.startswith(self.feed + b"-")]


@contextmanager
def committed_from_now(settings: Settings, topic: str = "finnhub-trades", feed: str = "finnhub") -> Iterator[Committed]:
    named = [results.TOPICS[name] for name in (topic, "gaps", "dead-letters", "cursors")]
    topics.create(settings.kafka_bootstrap, named, settings.partitions)
    with reader(settings.kafka_bootstrap) as consumer:
        yield Committed(consumer, topic, feed)


def ingested(record: Any) -> datetime:
    return datetime.fromisoformat(dict(record.headers)["ingested_at"].decode())


def _micros(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1_000_000)
