"""The one loop that carries every feed into Kafka: read, drop what came before, commit, tell."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

from millrace.errors import ConfigError, MillraceError
from millrace.ingest.buffer import RECENT, Buffer, Window
from millrace.ingest.counts import Counts, serve
from millrace.ingest.events import SECOND, Clock, Connected, Cursor, DeadLetter, Entry, Event, Feed, Gap, Mark
from millrace.ingest.reader import Reader, place_of
from millrace.logs import escape
from millrace.signals import signalled

INTERVAL = 0.2  # seconds between commits
BATCH = 5_000  # entries of a commit at most
PROGRESS = 10.0  # seconds between progress lines
Say = Callable[[str], None]


class Sink(Protocol):
    """Where the loop writes to: Kafka, or standard output."""

    def open(self, cursor: Cursor | None = None) -> Cursor | None: ...
    def recent(self, limit: int) -> list[str]: ...
    def write(self, items: Sequence[Event | DeadLetter | Gap], cursor: Cursor) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Options:
    """When to end (`limit` events, `seconds`), where to begin, how to watch; None is never and default."""

    limit: int | None = None
    seconds: float | None = None
    cursor: Cursor | None = None
    watchdog: float = 60.0
    metrics_port: int | None = None

    def begin(self, cursor: Cursor) -> "Options":
        """Return the same options with another beginning."""
        return replace(self, cursor=cursor)


class Loop:
    """Carry `feed` into `sink` until `stop` is set or `options` say so."""

    def __init__(
        self,
        feed: Feed,
        sink: Sink,
        options: Options,
        *,
        stop: threading.Event,
        say: Say,
        clock: Clock = time.time,
    ) -> None:
        self._feed, self._sink, self._options = feed, sink, options
        self._stop, self._say, self._clock = stop, say, clock
        self.counts = Counts()
        self._host = ""
        self._began = self._told = time.monotonic()
        self._told_events = 0
        self._said: set[str] = set()
        self._failure: ConfigError | None = None

    def run(self) -> Counts:
        """Return the counts at the end.

        Raises Unavailable and Fenced as the sink does, ConfigError of the feed, MillraceError when a reader has died.
        """
        found = self._sink.open(self._options.cursor)
        self._cursor = replace(found, ids=list(found.ids), places=dict(found.places)) if found else Cursor("", 0, 0)
        self._window = Window([*self._sink.recent(RECENT), *self._cursor.ids])
        self._buffer = Buffer()
        feeds = [self._feed]
        if self._feed.at_once:
            feeds = [replace(self._feed, hosts=(host,)) for host in self._feed.hosts]
        watch: dict[str, Any] = {"stop": self._stop, "say": self._say, "watchdog": self._options.watchdog}
        self._readers = [Reader(feed, self._buffer, found, **watch) for feed in feeds]
        if self._options.metrics_port is not None:
            serve(self._feed.name, self.counts, self._options.metrics_port)
        try:
            self._carry()
        finally:
            self._stop.set()
            self._sink.close()
        if self._failure:
            raise self._failure
        return self.counts

    def _carry(self) -> None:
        self._began = time.monotonic()
        for reader in self._readers:
            reader.start()
        ready = False
        while not self._is_over() and not self._stop.is_set():
            began = time.monotonic()
            self._write(self._buffer.take(BATCH))
            if not ready and any(reader.connected.is_set() for reader in self._readers):
                self._say("ready")
                ready = True
            self._tell()
            self._look_for_failures()
            if len(self._buffer) < BATCH:
                self._stop.wait(max(0.0, INTERVAL - (time.monotonic() - began)))
        self._flush()

    def _flush(self) -> None:
        self._stop.set()
        for reader in self._readers:
            reader.join(timeout=10)
        while not self._is_full() and (entries := self._buffer.take(BATCH)):
            self._write(entries)

    def _look_for_failures(self) -> None:
        """Say which hosts are given up; end with what the last one says when none is left, and with a lost reader."""
        for reader in self._readers:
            if not (reader.is_alive() or reader.failure or self._stop.is_set()):
                why = place_of(reader.defect) if reader.defect else "nobody knows why"
                raise MillraceError(f"the reader of {reader.feed.name} has died: {why}") from reader.defect
            if reader.is_stuck():
                raise MillraceError(
                    f"the reader of {reader.feed.name} hangs in a call that does not return: start anew"
                )
        failures = [reader.failure for reader in self._readers if reader.failure]
        if len(failures) == len(self._readers):
            self._failure = failures[-1]
            self._stop.set()
        for failure in failures:
            if str(failure) not in self._said and self._failure is None:
                self._said.add(str(failure))
                self._say(str(failure))

    def _is_full(self) -> bool:
        return self._options.limit is not None and self.counts.events >= self._options.limit

    def _is_over(self) -> bool:
        seconds = self._options.seconds
        return self._is_full() or (seconds is not None and time.monotonic() - self._began >= seconds)

    def _write(self, entries: list[Entry]) -> None:
        """Commit the entries, each gap before what comes after it: who sees a record sees the gaps before it."""
        for part in _up_to_gaps(entries):
            batch = [item for item in map(self._admit, part) if item is not None]
            self._sink.write(batch, self._cursor)
            self.counts.commits += 1

    def _admit(self, entry: Entry) -> Event | DeadLetter | Gap | None:
        """Move the cursor, count, and return what is to be written."""
        if self._is_full():
            return None
        if isinstance(entry, Connected):
            self._host = entry.host
            return None
        if isinstance(entry, Event | Mark):
            self._cursor.advance(self._host, entry, int(self._clock() * SECOND))
        return self._count(entry)

    def _count(self, item: Event | Mark | DeadLetter | Gap) -> Event | DeadLetter | Gap | None:
        if isinstance(item, Mark):
            return None
        if isinstance(item, Event):
            if not self._window.add(item.event_id):
                self.counts.duplicates += 1
                return None
            self.counts.events += 1
            self.counts.mended += item.mended
            self.counts.behind = max(0.0, self._clock() - item.event_time / SECOND)
        elif isinstance(item, DeadLetter):
            self.counts.dead_letters += 1
        else:
            self.counts.gaps += 1
            self._say(f"gap: {item.reason} ({item.host})")
        return item

    def _tell(self) -> None:
        self.counts.buffered = len(self._buffer)
        self.counts.connections = sum(reader.connections for reader in self._readers)
        now = time.monotonic()
        if now - self._told >= PROGRESS:
            self._say(self.counts.line((self.counts.events - self._told_events) / (now - self._told)))
            self._told, self._told_events = now, self.counts.events


def _up_to_gaps(entries: list[Entry]) -> Iterator[list[Entry]]:
    """Yield the entries in parts that end with a gap, and what comes after the last one."""
    begin = 0
    for end, entry in enumerate(entries, 1):
        if isinstance(entry, Gap) or end == len(entries):
            yield entries[begin:end]
            begin = end


def to_stderr(text: str) -> None:
    """Write one line to standard error, with control characters escaped; a full disk under it stops no data."""
    with suppress(OSError):
        print(escape(text), file=sys.stderr, flush=True)  # noqa: T201  the interface


def run(feed: Feed, sink: Sink, options: Options, *, stop: threading.Event, say: Say = to_stderr) -> Counts:
    """Carry `feed` into `sink`; SIGTERM and Ctrl-C flush what was read and end it. Returns the counts."""
    with signalled(stop):
        loop = Loop(feed, sink, options, stop=stop, say=say)
        counts = loop.run()
    say(f"done: {counts.line(0)}")
    return counts
