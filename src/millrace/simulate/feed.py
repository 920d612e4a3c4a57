"""The feed behind all connections: which event a client gets, and when, and when the connection breaks."""

import asyncio
import itertools
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State

from millrace.simulate.jetstream import TIME_CURSORS, Rejected, Subscription, encode, parse
from millrace.simulate.posts import Event, Events
from millrace.simulate.scenario import SECOND, Scenario
from millrace.simulate.truth import Tally

TICK = 0.001  # seconds that a wait takes at least
COPY_GAPS = (7, 31)  # the first and second copy of a frame come this many frames after it
BREATH = 64  # events between two writes, and two looks at the other connections and at signals
HOUR = 3600 * SECOND


class Jetstream:
    """The state behind all connections: how far the scenario went, and what was counted and sent."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.events = Events(scenario)
        self.tally = Tally()
        self.frontier = 0  # events before this one have been on their way to some client
        self.sent = 0
        self.started = time.monotonic()

    def refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a bad request before the handshake; None lets it pass."""
        try:
            self.first(parse(request.path))
        except Rejected as refusal:
            return connection.respond(HTTPStatus(refusal.status), refusal.body(request.path))
        return None

    def head(self) -> int:
        """The number of events that happened so far."""
        end = sys.maxsize if self.scenario.count is None else self.scenario.count
        if self.scenario.speed == 0:
            return self.frontier if self.scenario.count is None else end
        return min(end, int((time.monotonic() - self.started) * self.scenario.speed * self.scenario.rate))

    def first(self, wanted: Subscription) -> int:
        """The index from which a client is served; raises Rejected where a v2 sequence cursor is too old.

        Without a cursor: from now; from the start for the first client and at speed 0, when all has happened.
        """
        head, cursor = self.head(), wanted.cursor
        if cursor is None:
            return head if self.frontier and self.scenario.speed else 0
        timed = cursor >= TIME_CURSORS
        index = self.scenario.position(min(cursor, self.scenario.nominal(head))) if timed else max(0, cursor - 1)
        floor = self.scenario.position(self.scenario.nominal(head) - int(self.scenario.lookback * HOUR))
        if index < floor and wanted.v2 and not timed:
            raise Rejected(400, "CursorTooOld", f"cursor {cursor} below lookback floor {floor + 1}")
        return min(head, max(index, floor))

    async def handle(self, socket: ServerConnection) -> None:
        """Serve one client until it leaves."""
        assert socket.request is not None
        wanted = parse(socket.request.path)
        async with asyncio.TaskGroup() as group:
            sender = group.create_task(self._send(socket, wanted, self.first(wanted)))
            await _listen(socket, wanted)
            sender.cancel()

    async def _send(self, socket: ServerConnection, wanted: Subscription, first: int) -> None:
        outlet = Outlet(socket)
        for index in itertools.takewhile(self._lasts, itertools.count(first)):
            await self._wait(index, outlet)
            for event in filter(wanted.wants, self._due(index, first)):
                outlet.add(*encode(event, wanted.v2, self.scenario.sequence))
                self.sent += 1
                drop = outlet.count == self.scenario.drop_every
                if drop or self.sent == self.scenario.silent_after:
                    await outlet.flush(close=drop)
                    return
        await outlet.flush()

    def _lasts(self, index: int) -> bool:
        return self._happened(index - COPY_GAPS[-1])

    async def _wait(self, index: int, outlet: "Outlet") -> None:
        """Sleep until frame `index` is due; now and then write and give way to the other tasks."""
        due = self.started + index / self.scenario.rate / self.scenario.speed if self.scenario.speed else 0.0
        delay = due - time.monotonic()
        if delay > 0:
            await outlet.flush()
            await asyncio.sleep(max(delay, TICK))
        elif index % BREATH == 0:
            await outlet.flush()
            await asyncio.sleep(0)

    def _due(self, index: int, first: int) -> Iterator[Event]:
        """Yield event `index` and the copies that come after it; none of events before `first`."""
        if self._happened(index):
            yield self._event(index)
        if self.scenario.duplicates:
            for copy, earlier in enumerate((index - gap for gap in COPY_GAPS), 1):
                if earlier >= first and self._happened(earlier) and self.events.copies(earlier) >= copy:
                    yield self.events.at(earlier)

    def _happened(self, index: int) -> bool:
        return self.scenario.count is None or index < self.scenario.count

    def _event(self, index: int) -> Event:
        event = self.events.at(index)
        if index >= self.frontier:
            self.frontier = index + 1
            if self.scenario.count is None:
                self.tally.add(event)
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


async def _listen(socket: ServerConnection, wanted: Subscription) -> None:
    """Read until the client has left; a v2 client may not send data, v1 clients are not listened to."""
    with suppress(ConnectionClosed):
        async for _ in socket:
            if wanted.v2:
                await socket.close(CloseCode.POLICY_VIOLATION, "clients send nothing here")
