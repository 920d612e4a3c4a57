"""The feed behind all connections of a double: which event a client gets, and when, and when the connection breaks."""

import asyncio
import itertools
import sys
import time
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from millrace.simulate.scenario import SECOND, Scenario

TICK = 0.001  # seconds that a wait takes at least
COPY_GAPS = (7, 31)  # the first and second copy of a frame come this many frames after it
BREATH = 64  # events between two writes, and two looks at the other connections and at signals
E = TypeVar("E")
T_co = TypeVar("T_co", covariant=True)
Message = tuple[bytes, bool]  # and whether it is a text


class Events(Protocol[T_co]):
    """What happens, by index."""

    def at(self, index: int) -> T_co: ...
    def copies(self, index: int) -> int: ...


class Feed(Generic[E]):
    """The state behind all connections: how far the scenario went, and how many frames were sent."""

    def __init__(self, scenario: Scenario, events: Events[E]) -> None:
        self.scenario = scenario
        self.events = events
        self.frontier = 0  # events before this one have been on their way to some client
        self.sent = 0
        self.started = time.monotonic()

    def head(self) -> int:
        """The number of events that happened so far; at speed 0, of those that somebody was sent."""
        if self.scenario.speed == 0:
            return self.frontier
        end = sys.maxsize if self.scenario.count is None else self.scenario.count
        return min(end, int((time.monotonic() - self.started) * self.scenario.speed * self.scenario.rate))

    def begun(self, event: E) -> None:
        """Take note that `event` is on its way to a client for the first time."""

    async def send(self, socket: ServerConnection, first: int, encode: Callable[[E], Message | None]) -> bool:
        """Send events from `first` on, but what `encode` leaves out; True when all were sent, to the last copy."""
        outlet = Outlet(socket)
        for index in itertools.takewhile(self._lasts, itertools.count(first)):
            await self._wait(index, outlet)
            for event in self._due(index, first):
                if (message := encode(event)) is None:
                    continue
                outlet.add(*message)
                self.sent += 1
                drop = outlet.count == self.scenario.drop_every
                if drop or self.sent == self.scenario.silent_after:
                    await outlet.flush(close=drop)
                    return False
        await outlet.flush()
        return True

    def _lasts(self, index: int) -> bool:
        return self._happened(index - COPY_GAPS[-1])

    async def _wait(self, index: int, outlet: "Outlet") -> None:
        """Sleep until frame `index` is due; now and then write and give way to the other tasks."""
        ahead = (self.scenario.nominal(index) - self.scenario.start_us) / SECOND  # seconds of event time
        due = self.started + ahead / self.scenario.speed if self.scenario.speed else 0.0
        delay = due - time.monotonic()
        if delay > 0:
            await outlet.flush()
            await asyncio.sleep(max(delay, TICK))
        elif index % BREATH == 0:
            await outlet.flush()
            await asyncio.sleep(0)

    def _due(self, index: int, first: int) -> Iterator[E]:
        """Yield event `index` and the copies that come after it; none of events before `first`."""
        if self._happened(index):
            yield self._event(index)
        if self.scenario.duplicates:
            for copy, earlier in enumerate((index - gap for gap in COPY_GAPS), 1):
                if earlier >= first and self._happened(earlier) and self.events.copies(earlier) >= copy:
                    yield self.events.at(earlier)

    def _happened(self, index: int) -> bool:
        return self.scenario.count is None or index < self.scenario.count

    def _event(self, index: int) -> E:
        event = self.events.at(index)
        if index >= self.frontier:
            self.frontier = index + 1
            self.begun(event)
        return event


class Outlet:
    """Writes frames to one client by the batch: a system call for each would cost more than the frame."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.count = 0
        self._batch: list[bytes] = []

    def add(self, data: bytes, text: bool) -> None:
        """Take one message; the bytes of a text message need not be UTF-8."""
        self.count += 1
        self._batch.append(Frame(Opcode.TEXT if text else Opcode.BINARY, data).serialize(mask=False))

    async def flush(self, close: bool = False) -> None:
        """Write what was added, waiting while the client is slow; `close` drops the socket unannounced."""
        if self.socket.state is State.OPEN:
            self.socket.transport.write(b"".join(self._batch))
            self._batch.clear()
            await self.socket.drain()
            if close:
                self.socket.transport.close()  # what was written still arrives
