"""WebSocket messages with a cap on their size: the transport that the streaming feeds share.

A message above the cap is hashed and thrown away piece by piece: it costs no memory, the connection lives on.
Compression is never negotiated, so there is no decompression bomb.
"""

import hashlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Literal, overload

import websocket
from websocket import ABNF, WebSocketBadStatusException, WebSocketException, WebSocketTimeoutException
from websocket._abnf import frame_buffer

from millrace.errors import Unavailable
from millrace.ingest.addresses import address
from millrace.ingest.events import HEAD, DeadLetter, Pulse

CAP = 1 << 20  # bytes of a message; no provider sends more in one
READ_AHEAD = 1 << 16
CONNECT_TIMEOUT = 10.0  # seconds
TICK = 0.5  # seconds of silence after which None is yielded


class Refused(Unavailable):
    """The server answered the handshake with an HTTP status; `body` is what it said, `headers` have small names."""

    def __init__(
        self, host: str, status: int, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        told = (headers or {}).get("location")
        super().__init__(
            f"{host}: refused with HTTP status {status}" + (f", it redirects to {address(told)}" if told else "")
        )
        self.status, self.body, self.headers = status, body or b"", headers or {}


class _TooLarge(Exception):
    """The length of the next frame is above the cap; its payload has not been read."""


class _CappedFrames(frame_buffer):
    def recv_length(self) -> None:
        super().recv_length()
        if (self.length or 0) > CAP:
            raise _TooLarge


class _Socket(websocket.WebSocket):
    """Gives the library, which reads three times for each frame, its bytes from one buffer."""

    def __init__(self, **options: Any) -> None:
        super().__init__(skip_utf8_validation=True, **options)  # the JSON parser validates UTF-8
        self.frame_buffer = _CappedFrames(self._recv, True)
        self._ahead, self._at = b"", 0

    def _recv(self, bufsize: int) -> bytes:
        if self._at == len(self._ahead):
            self._ahead, self._at = super()._recv(READ_AHEAD), 0  # type: ignore[no-untyped-call]
        start = self._at
        self._at = min(start + bufsize, len(self._ahead))
        return self._ahead[start : self._at]

    def skip_payload(self) -> Iterator[bytes | None]:
        """Yield the payload of a frame that is too large in pieces, None while nothing comes."""
        left = self.frame_buffer.length or 0
        while left:
            try:
                piece = self._recv(min(left, READ_AHEAD))
            except WebSocketTimeoutException:
                yield None
                continue
            left -= len(piece)
            yield piece
        self.frame_buffer.clear()


class Fragments:
    """A message that comes in pieces: kept while it fits, of a larger one only the hash goes on."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.size = 0
        self.digest = hashlib.sha256()

    def add(self, piece: bytes) -> None:
        """Take the next piece."""
        self.size += len(piece)
        self.digest.update(piece)
        if len(self.data) <= CAP:
            self.data += piece

    def finish(self) -> bytes | DeadLetter:
        """Return the whole message, or the dead letter of one that is too large."""
        if self.size <= CAP:
            return bytes(self.data)
        reason = f"message of {self.size} bytes is larger than {CAP}"
        return DeadLetter(bytes(self.data[:HEAD]), self.size, self.digest.hexdigest(), reason)


@overload
def messages(
    url: str, hello: Sequence[bytes] = (), farewell: Sequence[bytes] = (), *, pings: Literal[True], **options: Any
) -> Generator[bytes | DeadLetter | Pulse | None, None, None]: ...


@overload
def messages(
    url: str, hello: Sequence[bytes] = (), farewell: Sequence[bytes] = (), **options: Any
) -> Generator[bytes | DeadLetter | None, None, None]: ...


def messages(
    url: str, hello: Sequence[bytes] = (), farewell: Sequence[bytes] = (), *, pings: bool = False, **options: Any
) -> Generator[bytes | DeadLetter | Pulse | None, None, None]:
    """Connect to `url` and yield its messages: None when connected and in silence, a DeadLetter above CAP.

    With `pings`, a ping of the server is a Pulse: so a feed that may be quiet for long tells that from a dead one. The
    texts of `hello` are sent before the first None, those of `farewell` before it leaves. `options` go to the library's
    connect. No redirect is followed, for what is sent may be a secret of this host alone. Raises Unavailable when the
    connection cannot be made or is lost, and Refused for an HTTP status; both name the host and never the query, which
    may hold a token.
    """
    host = address(url)
    socket = _Socket()
    try:
        socket.settimeout(CONNECT_TIMEOUT)
        socket.connect(url, redirect_limit=0, **options)  # type: ignore[no-untyped-call]
        _say(socket, hello)
        socket.settimeout(TICK)
        yield None
        yield from (each for each in _read(socket) if pings or not isinstance(each, Pulse))
    except WebSocketBadStatusException as error:
        raise Refused(host, error.status_code, error.resp_body, error.resp_headers) from None
    except (WebSocketException, OSError) as error:
        answer = socket.handshake_response
        if answer is not None and answer.status != HTTPStatus.SWITCHING_PROTOCOLS:  # a redirect
            raise Refused(host, answer.status, None, answer.headers) from None
        raise Unavailable(f"{host}: {str(error) or type(error).__name__}") from None
    finally:
        with suppress(WebSocketException, OSError):
            _say(socket, farewell)
            socket.send_close()
        socket.shutdown()  # type: ignore[no-untyped-call]


def _say(socket: _Socket, texts: Sequence[bytes]) -> None:
    for text in texts:
        socket.send(text)


def _read(socket: _Socket) -> Iterator[bytes | DeadLetter | Pulse | None]:
    message = Fragments()
    while True:
        try:
            frame = socket.recv_frame()  # type: ignore[no-untyped-call]
        except WebSocketTimeoutException:
            yield None
            continue
        except _TooLarge:
            final = bool(socket.frame_buffer.header and socket.frame_buffer.header[0])
            for piece in socket.skip_payload():
                if piece is None:
                    yield None
                else:
                    message.add(piece)
        else:
            final = bool(frame.fin)
            if frame.opcode not in (ABNF.OPCODE_TEXT, ABNF.OPCODE_BINARY, ABNF.OPCODE_CONT):
                _control(socket, frame)
                yield Pulse()
                continue
            if final and not message.size:  # nearly every message is one frame
                yield frame.data
                continue
            message.add(frame.data)
        if final:
            yield message.finish()
            message = Fragments()


def _control(socket: _Socket, frame: ABNF) -> None:
    if frame.opcode == ABNF.OPCODE_PING:
        socket.pong(frame.data)
    elif frame.opcode == ABNF.OPCODE_CLOSE:
        raise WebSocketException("closed by the server")
