"""The bodies of requests and answers: chunked, of a length, compressed in as many frames as the other side likes."""

import io
from email import message_from_bytes, policy
from email.message import Message
from typing import Protocol

import pyarrow as pa

CODECS = ("lz4", "zstd", "gzip")  # those that Arrow knows, in the order in which answers take them
PIECE = 1 << 20  # bytes


class Readable(Protocol):
    """Whatever has bytes to read."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end."""


class Unreadable(Exception):
    """A body that is not compressed as its header says."""


class Sized(io.RawIOBase):
    """The next `size` bytes of a connection; raises ConnectionError if it ends before."""

    def __init__(self, connection: io.BufferedIOBase, size: int) -> None:
        self.connection, self.left = connection, size

    def readable(self) -> bool:
        """Return whether it can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read into `buffer`; returns how many bytes, 0 at the end."""
        if not (wanted := min(len(buffer), self.left)):
            return 0
        piece = self.connection.read(wanted)
        if not piece:
            raise ConnectionError("the client is gone before its request was whole")
        self.left -= len(piece)
        buffer[: len(piece)] = piece
        return len(piece)


class Chunked(io.RawIOBase):
    """The chunks of a connection up to the empty one; raises ConnectionError if it ends before."""

    def __init__(self, connection: io.BufferedIOBase) -> None:
        self.connection, self.chunk, self.ended = connection, Sized(connection, 0), False

    def readable(self) -> bool:
        """Return whether it can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read into `buffer`; returns how many bytes, 0 at the end."""
        if not self.chunk.left and not self.ended:
            self._begin()
        size = self.chunk.readinto(buffer)
        if size and not self.chunk.left:
            self.connection.readline()  # the end of line behind a chunk
        return size

    def _begin(self) -> None:
        line = self.connection.readline()
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            raise ConnectionError("the client is gone before its request was whole") from None
        self.chunk, self.ended = Sized(self.connection, size), size == 0
        while self.ended and self.connection.readline().strip():  # trailers
            pass


Sent = Sized | Chunked


def sent(headers: Message, connection: io.BufferedIOBase) -> Sent:
    """Return the body of a request as it was sent."""
    if "chunked" in headers.get("Transfer-Encoding", "").lower():
        return Chunked(connection)
    return Sized(connection, int(headers.get("Content-Length") or 0))


class Frames:
    """A compressed body read to its end: all its frames, for clients send one a block."""

    def __init__(self, body: Sent, codec: str) -> None:
        self.body, self.stream = body, pa.input_stream(body, compression=codec)

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes; raises Unreadable, and ConnectionError as the body does."""
        try:
            data: bytes = self.stream.read(size if size >= 0 else None)
        except ConnectionError:
            raise
        except OSError as error:
            raise Unreadable(str(error)) from None
        return data


def plain(headers: Message, body: Sent) -> Readable:
    """Return `body` decompressed; raises Unreadable if nobody here can do that."""
    match headers.get("Content-Encoding", "identity").lower():
        case "" | "identity":
            return io.BufferedReader(body, PIECE)
        case codec if codec in CODECS:
            return Frames(body, codec)
        case other:
            raise Unreadable(f"Content-Encoding {other} is not known here")


def drain(body: Sent) -> None:
    """Read what is left of `body`, so that the connection can be used again."""
    while body.read(PIECE):
        pass


def fields(headers: Message, body: Readable) -> dict[str, str] | None:
    """Return the fields of a form; None if there are files among them, which would be tables."""
    head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    form = message_from_bytes(head + body.read(), policy=policy.HTTP)
    found = {}
    for part in form.iter_parts():
        if part.get_filename():
            return None
        name = part.get_param("name", header="content-disposition")
        found[str(name)] = (part.get_payload(decode=True) or b"").decode()  # type: ignore[union-attr]
    return found


def compressed(data: bytes, accepted: str) -> tuple[bytes, str | None]:
    """Return `data` in the first of CODECS that the client accepts, and which that is."""
    names = {each.partition(";")[0].strip().lower() for each in accepted.split(",")}
    codec = next((each for each in CODECS if each in names), None)
    if codec is None:
        return data, None
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, codec) as stream:
        stream.write(data)
    return out.getvalue().to_pybytes(), codec
