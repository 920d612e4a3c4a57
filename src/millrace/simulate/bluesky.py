"""A double of Bluesky's Jetstream: a scenario on its wire, v1 and v2, with cursors, filters and faults."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request, Response

from millrace.simulate import serving
from millrace.simulate import truth as answer
from millrace.simulate.feed import Feed, Message
from millrace.simulate.jetstream import TIME_CURSORS, Rejected, Subscription, encode, parse
from millrace.simulate.posts import Event, Events
from millrace.simulate.scenario import SECOND, Scenario
from millrace.simulate.truth import Tally

HOST, PORT = serving.HOST, 6008
HOUR = 3600 * SECOND


class Jetstream(Feed[Event]):
    """The feed that clients may take up again at a cursor, and filter."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario, Events(scenario))
        self.tally = Tally()

    def refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a bad request before the handshake; None lets it pass."""
        try:
            self.first(parse(request.path))
        except Rejected as refusal:
            return connection.respond(HTTPStatus(refusal.status), refusal.body(request.path))
        return None

    def head(self) -> int:
        """The number of events that happened so far: at speed 0, all that there are."""
        if self.scenario.speed == 0 and self.scenario.count is not None:
            return self.scenario.count
        return super().head()

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

    def begun(self, event: Event) -> None:
        """Count what an endless scenario sent; the truth of any other is known before."""
        if self.scenario.count is None:
            self.tally.add(event)

    async def handle(self, socket: ServerConnection) -> None:
        """Serve one client until it leaves."""
        assert socket.request is not None
        wanted = parse(socket.request.path)

        def message(event: Event) -> Message | None:
            return encode(event, wanted.v2, self.scenario.sequence) if wanted.wants(event) else None

        async with asyncio.TaskGroup() as group:
            sender = group.create_task(self.send(socket, self.first(wanted), message))
            await _listen(socket, wanted)
            sender.cancel()


async def _listen(socket: ServerConnection, wanted: Subscription) -> None:
    """Read until the client has left; a v2 client may not send data, v1 clients are not listened to."""
    with suppress(ConnectionClosed):
        async for _ in socket:
            if wanted.v2:
                await socket.close(CloseCode.POLICY_VIOLATION, "clients send nothing here")


def serve(scenario: Scenario, host: str = HOST, port: int = PORT, truth: Path | None = None) -> None:
    """Serve `scenario` until SIGTERM or SIGINT, also after its last frame: clients may come back and replay.

    Prints `ready ws://HOST:PORT` to stderr (port 0: any free one). Writes the truth to `truth` as JSON lines:
    of a finite scenario before that line, of an endless one at the end, for what was sent. Raises Unavailable
    where the port is taken.
    """
    with _answered(Jetstream(scenario), truth) as feed:
        serving.serve(feed, port, "ws", host)


@contextmanager
def running(scenario: Scenario, truth: Path | None = None, port: int = 0) -> Iterator[str]:
    """Serve `scenario` from a thread of this process, yield `ws://HOST:PORT`, stop the server at the end."""
    with _answered(Jetstream(scenario), truth) as feed, serving.running(feed, port, "ws") as url:
        yield url


@contextmanager
def _answered(feed: Jetstream, truth: Path | None) -> Iterator[Jetstream]:
    """Write the truth as soon as it is known."""
    if truth and feed.scenario.count is not None:
        answer.write(answer.truth(feed.scenario), truth)
    yield feed
    if truth and feed.scenario.count is None:
        answer.write(feed.tally.lines(), truth)
