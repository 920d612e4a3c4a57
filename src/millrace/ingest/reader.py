"""The thread that follows a feed: hosts in turn, backoff, silence, back-pressure. It knows no provider."""

import threading
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

from millrace.errors import ConfigError, Unavailable
from millrace.ingest.addresses import address, is_at
from millrace.ingest.backoff import Backoff
from millrace.ingest.buffer import Buffer
from millrace.ingest.events import SECOND, Clock, Connected, Cursor, DeadLetter, Entry, Feed, Gap, Item, Pulse
from millrace.ingest.resumption import REWIND, Resumption, missed, start

STUCK = 600.0  # seconds
PATIENCE = 0.5  # seconds between looks at `stop` while the buffer is full


class Reader(threading.Thread):
    """Follow `feed` from `cursor` into `buffer` until `stop` is set; `say` takes a line per lost connection.

    `watchdog` is in seconds of silence, after which the connection is given up; `clock` is the wall clock,
    `timer` is monotonic. A full buffer holds a feed back that can replay; of any other, items are dropped and
    the gap recorded.
    """

    def __init__(
        self,
        feed: Feed,
        buffer: Buffer,
        cursor: Cursor | None,
        *,
        stop: threading.Event,
        say: Callable[[str], None],
        watchdog: float = 60.0,
        clock: Clock = time.time,
        timer: Clock = time.monotonic,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__(name=f"reader-{feed.name}", daemon=True)
        self.feed, self.buffer = feed, buffer
        self.cursor = replace(cursor, ids=[], places=dict(cursor.places)) if cursor else None
        self.failure: ConfigError | None = None  # why no further attempt is made
        self.defect: Exception | None = None  # what ended the thread though nobody wanted that
        self.connected = threading.Event()
        self.connections = 0
        self._stop_asked, self._say, self._watchdog = stop, say, watchdog
        self._clock, self._timer, self._backoff = clock, timer, backoff or Backoff(timer)
        self._host, self._delivered = feed.hosts[0], False
        self._last: int | None = None  # the position that a bad frame without a place gets
        self._alive = self._timer()  # when the thread last said so; nothing else sees a call that never returns
        self._full_since: int | None = None  # from when on the buffer's fullness has lost data

    def is_stuck(self) -> bool:
        """Return whether the thread has been in one call for far longer than any answer may take."""
        return self._timer() - self._alive > max(STUCK, 10 * self._watchdog)

    def run(self) -> None:
        """Follow the feed until `stop` is set; what goes wrong beyond a connection is left in `defect`."""
        try:
            self._supervise()
        except Exception as error:  # noqa: BLE001  the loop raises it: nobody else would hear of it
            self.defect = error

    def _supervise(self) -> None:
        """Connect again and again; a host that delivered is asked again before the next one."""
        hosts = self.feed.hosts
        stored = self.cursor.host if self.cursor else ""
        turn = next((number for number, host in enumerate(hosts) if is_at(stored, host)), 0)
        while not self._stop_asked.is_set():
            failure = self._attempt(hosts[turn % len(hosts)])
            if self.failure:
                return
            turn += not self._delivered
            if not self._stop_asked.is_set():
                delay = self._backoff.delay()
                self._say(f"{failure}; next attempt in {delay:.1f} s at {address(hosts[turn % len(hosts)])}")
                self._stop_asked.wait(delay)

    def _attempt(self, host: str) -> str:
        self._host, self._delivered = host, False
        self._alive = self._timer()
        try:
            self.follow(host)
        except Unavailable as error:
            return str(error)
        except ConfigError as error:
            self.failure = error
            return str(error)
        except Exception as error:  # noqa: BLE001  the supervisor: a defect must not end a stream silently
            return f"{address(host)}: {place_of(error)}"
        return f"{address(host)}: the stream ended"

    def follow(self, host: str) -> None:
        """Read one connection; raises Unavailable when it is lost or silent for too long."""
        replayed = self.cursor if self.feed.replayable else None
        resumption = Resumption(self.feed, replace(replayed), self._clock) if replayed else None
        with closing(self.feed.connect(host, start(self.feed, self.cursor, host))) as items:
            asked = self._now()
            next(items, None)
            self._greet(host)
            if not self.feed.replayable:
                self._put(missed(self.feed, self.cursor, host, asked, self._now()))
            heard = self._timer()
            for item in items:
                self._alive = self._timer()
                if self._stop_asked.is_set():
                    return
                if isinstance(item, Pulse):
                    heard = self._timer()
                elif item is not None:
                    for part in resumption.items(host, item) if resumption else (item,):
                        self._accept(host, part)
                    heard = self._timer()
                elif self._timer() - heard > self._watchdog:
                    raise Unavailable(f"{address(host)}: silent for {self._watchdog:g} s")

    def _greet(self, host: str) -> None:
        self._last = None
        self._backoff.connected()
        self._put(Connected(host))
        self.connections += 1
        self.connected.set()

    def _accept(self, host: str, item: Item) -> None:
        if isinstance(item, DeadLetter):
            item.position = self._last if item.position is None else item.position
        elif not isinstance(item, Gap):
            self.cursor = self.cursor or Cursor(host, 0, 0)
            self.cursor.advance(host, item, self._now())
            self._last = max(self._last or 0, min(item.position, self.cursor.position))
        self._delivered = True
        self._put(item)

    def _put(self, entry: Entry) -> None:
        if self.feed.replayable:
            while not self.buffer.put(entry, PATIENCE) and not self._stop_asked.is_set():
                self._alive = self._timer()
        elif not (self._put_overrun() and self.buffer.put(entry)):
            since = entry.start if isinstance(entry, Gap) else self._now() - REWIND
            self._full_since = min(since, self._full_since or since)

    def _put_overrun(self) -> bool:
        """Return whether the gap that a full buffer left, if any, is in the buffer: nothing may come before it."""
        if self._full_since is None:
            return True
        gap = Gap(self.feed.name, address(self._host), self._full_since, self._now(), "the buffer was full")
        if not self.buffer.put(gap):
            return False
        self._full_since = None
        return True

    def _now(self) -> int:
        return int(self._clock() * SECOND)


def place_of(error: Exception) -> str:
    """Return the type of a defect and where it was raised; its text may quote a URL with a token."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at line {place.lineno} of {place.filename.rpartition('/')[2]}"
