"""A double of Bluesky's Jetstream: a scenario on its wire, v1 and v2, with cursors, filters and faults."""

import asyncio
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.typing import Subprotocol

from millrace.errors import MillraceError, Unavailable
from millrace.simulate import truth as answer
from millrace.simulate.feed import Jetstream
from millrace.simulate.scenario import Scenario

HOST, PORT = "127.0.0.1", 6008
SUBPROTOCOL = Subprotocol("xrpc.v1.json")
Ready = Callable[[str, asyncio.Event], None]

_LOG = logging.getLogger("millrace.simulate")
# Clients that leave in the middle of a handshake are daily business here.
_LOG.addFilter(lambda record: record.getMessage() != "opening handshake failed")
_LOG.setLevel(logging.ERROR)


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
        raise Unavailable(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port") from error
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
