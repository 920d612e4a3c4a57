"""A double of Bluesky's Jetstream: a scenario on its wire, v1 and v2, with cursors, filters and faults."""

import asyncio
import itertools
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path

from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from millrace.errors import MillraceError, Unavailable
from millrace.simulate import truth as answer
from millrace.simulate.jetstream import TIME_CURSORS, Rejected, Subscription, encode, parse
from millrace.simulate.posts import Event, Events
from millrace.simulate.scenario import SECOND, Scenario

COPY_GAPS = (7, 31)  # the first and second copy of a frame come this many frames after it
HOST, PORT = "127.0.0.1", 6008
SUBPROTOCOL = Subprotocol("xrpc.v1.json")
TICK = 0.001  # seconds that a wait takes at least
BREATH = 64  # frames between two looks at the other connections and at signals
HOUR = 3600 * SECOND
Ready = Callable[[str, asyncio.Event], None]

_LOG = logging.getLogger("millrace.simulate")
_LOG.setLevel(logging.CRITICAL)  # clients that leave in the middle of a handshake are daily business here


class Jetstream:
    """The state behind all connections: how far the scenario went, and what was counted and sent."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.events = Events(scenario)
        self.tally = answer.Tally()
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
        index = self.scenario.position(cursor) if timed else max(0, cursor - 1)
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
        on_connection = itertools.count(1)
        for index in itertools.takewhile(self._lasts, itertools.count(first)):
            await self._wait(index)
            for event in filter(wanted.wants, self._due(index, first)):
                frame, text = encode(event, wanted.v2, self.scenario.sequence)
                with suppress(ConnectionClosed):  # the listener sees it too and ends this task
                    await socket.send(frame, text=text)  # waits while the client is slow: nothing piles up
                if self._breaks(socket, next(on_connection)):
                    return

    def _lasts(self, index: int) -> bool:
        return self._happened(index - COPY_GAPS[-1])

    async def _wait(self, index: int) -> None:
        """Sleep until frame `index` is due; now and then give way to the other tasks."""
        if self.scenario.speed:
            due = self.started + index / self.scenario.rate / self.scenario.speed
            delay = due - time.monotonic()
            if delay > 0:
                await asyncio.sleep(max(delay, TICK))
                return
        if index % BREATH == 0:
            await asyncio.sleep(0)

    def _due(self, index: int, first: int) -> Iterator[Event]:
        """Yield event `index` and the copies that come after it; none of events before `first`."""
        if self._happened(index):
            yield self._event(index)
        if self.scenario.duplicates:
            for copy, gap in enumerate(COPY_GAPS, 1):
                if (
                    index - gap >= first
                    and self._happened(index - gap)
                    and self.events.copies(index - gap) >= copy
                ):
                    yield self.events.at(index - gap)

    def _happened(self, index: int) -> bool:
        return self.scenario.count is None or index < self.scenario.count

    def _event(self, index: int) -> Event:
        event = self.events.at(index)
        if index >= self.frontier:
            self.frontier = index + 1
            if self.scenario.count is None:
                self.tally.add(event)
        return event

    def _breaks(self, socket: ServerConnection, on_connection: int) -> bool:
        """Count a frame; at the frame for it, drop the connection or fall silent on it."""
        self.sent += 1
        if on_connection == self.scenario.drop_every:
            socket.transport.close()  # what was sent arrives; the closing handshake does not
            return True
        return self.sent == self.scenario.silent_after


async def _listen(socket: ServerConnection, wanted: Subscription) -> None:
    """Read until the client has left; a v2 client may not send data, v1 clients are not listened to."""
    with suppress(ConnectionClosed):
        async for _ in socket:
            if wanted.v2:
                await socket.close(CloseCode.POLICY_VIOLATION, "clients send nothing here")


def _subprotocol(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


async def _run(scenario: Scenario, host: str, port: int, truth: Path | None, ready: Ready) -> None:
    feed, stop = Jetstream(scenario), asyncio.Event()
    if truth and scenario.count is not None:
        answer.write(answer.truth(scenario), truth)
    try:
        server = await listen(
            feed.handle,
            host,
            port,
            process_request=feed.refuse,
            select_subprotocol=_subprotocol,
            compression=None,
            ping_interval=None,  # a client that stands still is slow, not gone
            close_timeout=1,
            logger=_LOG,
        )
    except OSError as error:
        raise Unavailable(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another --port"
        ) from error
    async with server:
        ready(f"ws://{host}:{server.sockets[0].getsockname()[1]}", stop)
        await stop.wait()
    if truth and scenario.count is None:
        answer.write(feed.tally.lines(), truth)


def _announce(url: str, stop: asyncio.Event) -> None:
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    sys.stderr.write(f"ready {url}\n")
    sys.stderr.flush()


def serve(scenario: Scenario, host: str = HOST, port: int = PORT, truth: Path | None = None) -> None:
    """Serve `scenario` until SIGTERM or SIGINT, also after its last frame: clients may come back and replay.

    Prints `ready ws://HOST:PORT` to stderr (port 0: any free one). Writes the truth to `truth` as JSON lines:
    of a finite scenario before that line, of an endless one at the end, for what was sent. Raises Unavailable
    where the port is taken.
    """
    asyncio.run(_run(scenario, host, port, truth, _announce))


@contextmanager
def running(scenario: Scenario, truth: Path | None = None, port: int = 0) -> Iterator[str]:
    """Serve `scenario` from a thread of this process, yield `ws://HOST:PORT`, stop the server at the end."""
    started: Future[tuple[str, Callable[[], object]]] = Future()

    def ready(url: str, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        started.set_result((url, partial(loop.call_soon_threadsafe, stop.set)))

    def work() -> None:
        try:
            asyncio.run(_run(scenario, HOST, port, truth, ready))
        except (OSError, MillraceError) as error:
            started.set_exception(error)

    thread = threading.Thread(target=work, name="simulate-bluesky", daemon=True)
    thread.start()
    url, stop = started.result()
    try:
        yield url
    finally:
        stop()
        thread.join()
