"""WebSocket messages: whole, in fragments, too large, and connections that end."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from websockets.sync.server import ServerConnection, serve

from millrace.errors import Unavailable
from millrace.ingest.addresses import address
from millrace.ingest.events import HEAD, DeadLetter
from millrace.ingest.frames import CAP, Refused, messages


@contextmanager
def serving(handle: Callable[[ServerConnection], None], **options: object) -> Iterator[str]:
    with serve(handle, "127.0.0.1", 0, compression=None, **options) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


def received(handle: Callable[[ServerConnection], None]) -> list[bytes | DeadLetter]:
    """Return all messages until the server closes."""
    found = []
    with serving(handle) as url, pytest.raises(Unavailable, match="closed by the server"):
        for message in messages(url):
            found += [message] if message is not None else []
    return found


def letter(data: bytes) -> DeadLetter:
    reason = f"message of {len(data)} bytes is larger than {CAP}"
    return DeadLetter(data[:HEAD], len(data), hashlib.sha256(data).hexdigest(), reason)


def test_messages_whole_and_in_fragments() -> None:
    def handle(connection: ServerConnection) -> None:
        connection.send("one")
        connection.ping()
        connection.send(b"two")
        connection.send(iter(["th", "re", "e"]))
        connection.send("")

    assert received(handle) == [b"one", b"two", b"three", b""]


def test_a_message_above_the_cap_leaves_its_head_and_the_connection_lives() -> None:
    giant, largest = bytes(range(256)) * (CAP // 256 + 1), b"y" * CAP

    def handle(connection: ServerConnection) -> None:
        connection.send(giant)
        connection.send("between")
        connection.send(iter([giant[:100_000], giant[100_000:]]))  # a small fragment and one above the cap
        connection.send(iter([giant[:600_000], giant[600_000:]]))  # two that fit, but not together
        connection.send(largest)

    assert received(handle) == [letter(giant), b"between", letter(giant), letter(giant), largest]


def test_silence_yields_none() -> None:
    def handle(connection: ServerConnection) -> None:
        connection.recv()

    with serving(handle) as url:
        stream = messages(url)
        assert [next(stream) for _ in range(3)] == [None, None, None]
        stream.close()


def test_it_says_hello_before_anything_else_and_farewell_when_it_leaves() -> None:
    heard: list[str | bytes] = []
    gone = threading.Event()

    def handle(connection: ServerConnection) -> None:
        heard.append(connection.recv())
        connection.send("one")
        heard.extend(connection)
        gone.set()

    with serving(handle) as url:
        stream = messages(url, [b"hello"], [b"farewell", b"twice"])
        assert [next(stream), next(stream)] == [None, b"one"]
        stream.close()
        assert gone.wait(10)
    assert heard == ["hello", "farewell", "twice"]


def test_errors_name_the_host_and_no_token() -> None:
    def refuse(connection: ServerConnection, _: object) -> object:
        return connection.respond(400, "CursorTooOld")

    with serving(lambda _: None, process_request=refuse) as url, pytest.raises(Refused) as refused:
        next(messages(f"{url}/?token=secret"))
    assert refused.value.body == b"CursorTooOld"
    with pytest.raises(Unavailable) as gone:
        next(messages(f"{url}/?token=secret"))
    assert [("secret" in str(error.value), url in str(error.value)) for error in (refused, gone)] == [(False, True)] * 2
    assert address("wss://h.example/path?token=secret") == "wss://h.example"
