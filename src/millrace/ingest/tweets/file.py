"""Carry a file of recorded tweets into Kafka, each once by its id, however often the file is fed."""

import itertools
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from millrace.config import Settings
from millrace.ingest.committed import keys
from millrace.ingest.counts import Counts
from millrace.ingest.events import SECOND, Cursor, DeadLetter, Event, Feed, Stream
from millrace.ingest.printer import Printer
from millrace.ingest.producer import KafkaSink
from millrace.ingest.run import PROGRESS, Say, Sink, to_stderr
from millrace.ingest.tweets.feed import read
from millrace.ingest.tweets.lines import messages, opened
from millrace.ingest.tweets.shapes import AS_IT_IS, Reading
from millrace.kafka.topics import TWEETS
from millrace.signals import signalled

NAME = "tweets-file"  # its own: the newer of two files takes over, and none ends the adapter of the live feed
ITEMS, BYTES = 2000, 8 << 20  # of a transaction at most
NOWHERE = Cursor("", 0, 0)  # what is in Kafka says what is done: there is no place to go on from


def carry(
    path: Path,
    settings: Settings,
    reading: Reading = AS_IT_IS,
    *,
    limit: int | None = None,
    printing: bool = False,
    say: Say = to_stderr,
) -> Counts:
    """Write the tweets of `path` (JSON lines, also gzipped) that are not in Kafka yet, or print them all.

    `limit` ends it after so many. SIGTERM and Ctrl-C commit what was read and end it. Returns what it counted. Raises
    ConfigError, MillraceError where the file is broken, Unavailable and Fenced. Delivery: exactly once by tweet id.
    """
    stop, counts = threading.Event(), Counts()
    feed = Feed(NAME, TWEETS, (), _nowhere, replayable=False)
    sink: Sink = Printer(stop)
    if not printing:
        sink = KafkaSink(feed, settings.kafka_bootstrap, settings.partitions, stop=stop, say=say)
    with signalled(stop), opened(path) as file:
        sink.open()  # from now on nobody else writes from a file
        try:
            known = set() if printing else _keys(settings.kafka_bootstrap, say)
            items = itertools.takewhile(lambda _: not stop.is_set(), _telling(_items(file, reading), counts, say))
            for batch in _batches(_fresh(items, known, counts, limit)):
                sink.write(batch, NOWHERE)
                counts.commits += 1
        finally:
            sink.close()
    say(f"{'stopped' if stop.is_set() else 'done'}: {_line(counts)}")
    return counts


def _nowhere(host: str, cursor: Cursor | None) -> Stream:
    yield None


def _keys(bootstrap: str, say: Say) -> set[bytes]:
    """Return the ids of all tweets in Kafka, about 100 bytes of memory each."""
    say("looking up which tweets are in Kafka")
    return set(keys(bootstrap, TWEETS.name))


def _items(file: BinaryIO, reading: Reading) -> Iterator[Event | DeadLetter]:
    for number, line in messages(file):
        yield line if isinstance(line, DeadLetter) else read(line, int(time.time() * SECOND), reading, number)


def _telling(items: Iterable[Event | DeadLetter], counts: Counts, say: Say) -> Iterator[Event | DeadLetter]:
    """Yield the items, and say now and then how far it is."""
    told = time.monotonic()
    for item in items:
        if time.monotonic() - told >= PROGRESS:
            told = time.monotonic()
            say(_line(counts))
        yield item


def _fresh(
    items: Iterable[Event | DeadLetter], known: set[bytes], counts: Counts, limit: int | None
) -> Iterator[Event | DeadLetter]:
    """Yield what is not `known`, which grows with it, and count it."""
    for item in items:
        if isinstance(item, DeadLetter):
            counts.dead_letters += 1
        elif item.key in known:
            counts.duplicates += 1
            continue
        elif counts.events == limit:
            return
        else:
            known.add(item.key)
            counts.events += 1
            counts.mended += item.mended
        yield item


def _batches(items: Iterable[Event | DeadLetter]) -> Iterator[list[Event | DeadLetter]]:
    batch: list[Event | DeadLetter] = []
    size = 0
    for item in items:
        batch.append(item)
        size += len(item.value if isinstance(item, Event) else item.head)
        if len(batch) == ITEMS or size >= BYTES:
            yield batch
            batch, size = [], 0
    yield batch


def _line(counts: Counts) -> str:
    return (
        f"{counts.events} tweets, {counts.duplicates} that were there, {counts.mended} mended, "
        f"{counts.dead_letters} dead letters"
    )
