"""How the doubles are served: on the loopback address, until a signal or from a thread of a test."""

import asyncio
import logging
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol
from weakref import WeakSet

from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as listen
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.typing import Subprotocol

from millrace.errors import MillraceError, Unavailable

HOST = "127.0.0.1"
LOOK = 0.05  # seconds between two looks at connections that have just come
SUBPROTOCOL = Subprotocol("xrpc.v1.json")
Ready = Callable[[str, asyncio.Event], None]
Serving = Callable[[Ready], Coroutine[Any, Any, None]]  # tells its address when it is there, ends with the event

_LOG = logging.getLogger("millrace.simulate")
# Clients that leave in the middle of a handshake are daily business here.
_LOG.addFilter(lambda record: record.getMessage() != "opening handshake failed")
_LOG.setLevel(logging.ERROR)


class Double(Protocol):
    """What a provider's double does with a request, and with a connection that it let pass."""

    def refuse(
        self, connection: ServerConnection, request: Request
    ) -> Response | Awaitable[Response | None] | None: ...
    async def handle(self, socket: ServerConnection) -> None: ...


def _subprotocol(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


async def _run(double: Double, host: str, port: int, scheme: str, ready: Ready) -> None:
    stop, connections = asyncio.Event(), WeakSet[ServerConnection]()

    class Known(ServerConnection):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            connections.add(self)

    try:
        server = await listen(
            double.handle,
            host,
            port,
            process_request=double.refuse,
            select_subprotocol=_subprotocol,
            compression=None,
            ping_interval=None,  # a client that stands still is slow, not gone
            close_timeout=1,
            logger=_LOG,
            create_connection=Known,
        )
    except OSError as error:
        raise Unavailable(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port") from error
    ready(f"{scheme}://{host}:{server.sockets[0].getsockname()[1]}", stop)
    await stop.wait()
    server.close()
    await _ended(connections)


async def _ended(connections: WeakSet[ServerConnection]) -> None:
    """Wait for all that is under way; who has not asked for anything yet is hung up on.

    Python 3.11's server itself forgets connections that it accepted a moment before it was closed.
    """
    while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        for each in connections:
            if each.state is State.CONNECTING and hasattr(each, "transport"):
                each.transport.abort()
        await asyncio.wait(tasks, timeout=LOOK)


def _announce(url: str, stop: asyncio.Event, hint: str) -> None:
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    sys.stderr.write(f"ready {url}\n{hint.replace('URL', url)}")
    sys.stderr.flush()


def serve(double: Double, port: int, scheme: str, host: str = HOST, hint: str = "") -> None:
    """Serve `double` until SIGTERM or SIGINT; prints `ready SCHEME://HOST:PORT` and then `hint` to stderr.

    `URL` in the hint becomes the address. Raises Unavailable.
    """
    until_signal(partial(_run, double, host, port, scheme), hint)


def until_signal(serving: Serving, hint: str = "") -> None:
    """Run a server until SIGTERM or SIGINT; prints `ready` with its address and then `hint` to stderr."""
    asyncio.run(serving(partial(_announce, hint=hint)))


@contextmanager
def running(double: Double, port: int, scheme: str) -> Iterator[str]:
    """Serve `double` from a thread of this process, yield `SCHEME://HOST:PORT`, stop the server at the end."""
    with in_thread(partial(_run, double, HOST, port, scheme)) as url:
        yield url


@contextmanager
def in_thread(serving: Serving) -> Iterator[str]:
    """Run a server in a thread of this process, yield its address, stop it at the end."""
    started: Future[tuple[str, Callable[[], object]]] = Future()

    def ready(url: str, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        started.set_result((url, partial(loop.call_soon_threadsafe, stop.set)))

    def work() -> None:
        try:
            asyncio.run(serving(ready))
        except (OSError, MillraceError) as error:
            started.set_exception(error)

    thread = threading.Thread(target=work, name="simulate", daemon=True)
    thread.start()
    url, stop = started.result()
    try:
        yield url
    finally:
        stop()
        thread.join()
