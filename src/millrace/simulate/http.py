"""As much of HTTP/1.1 as doubles need that are asked by POST, which the server of websockets does not read."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import NamedTuple

from millrace.errors import Unavailable
from millrace.simulate.serving import HOST, Ready


class Asked(NamedTuple):
    """A request."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str]  # by names in lower case


class Answer(NamedTuple):
    """What is answered."""

    body: bytes
    status: int = 200
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


Handler = Callable[[Asked], Awaitable[Answer | None]]  # None: hang up


async def serve(handler: Handler, port: int, ready: Ready) -> None:
    """Answer requests with `handler`, on connections that stay open, until `ready`'s event. Raises Unavailable."""
    stop, connections = asyncio.Event(), set[asyncio.Task[None]]()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task:
            connections.add(task)
            task.add_done_callback(connections.discard)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while answer := await handler(await _read(reader)):
                    writer.write(_written(answer))
                    await writer.drain()
        finally:
            writer.transport.abort()  # a client that is gone reads nothing more

    try:
        server = await asyncio.start_server(talk, HOST, port, backlog=1_024)
    except OSError as error:
        raise Unavailable(f"cannot listen on {HOST}:{port}: {error.strerror}; choose another --port") from error
    ready(f"http://{HOST}:{server.sockets[0].getsockname()[1]}", stop)
    await stop.wait()
    server.close()
    for task in tuple(connections):
        task.cancel()
    await asyncio.gather(*connections)
    await asyncio.sleep(0)  # until then the sockets are only about to be closed


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    method, path, *_ = first.split(" ")
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    return Asked(method, path, await reader.readexactly(int(headers.get("content-length", 0))), headers)


def _written(answer: Answer) -> bytes:
    headers = (("Content-Type", answer.kind), ("Content-Length", str(len(answer.body))), *answer.headers)
    lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}", *(f"{k}: {v}" for k, v in headers)]
    return "\r\n".join((*lines, "", "")).encode("latin-1") + answer.body
