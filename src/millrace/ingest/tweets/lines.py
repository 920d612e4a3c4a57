"""Read a file of recorded tweets line by line, with a progress bar, in little memory whatever stands in it."""

import gzip
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from rich import progress
from rich.console import Console

from millrace.errors import ConfigError, MillraceError
from millrace.ingest.events import DeadLetter
from millrace.ingest.frames import Fragments

PIECE = 1 << 16  # bytes of a line that are read at once
BROKEN = (OSError, EOFError, zlib.error)  # of a disk, or of a gzipped file that is cut


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file, also a gzipped one (.gz); on a terminal a bar shows how far it is read. Raises ConfigError."""
    console, quiet = Console(stderr=True), not sys.stderr.isatty()
    try:
        bar = progress.open(path, "rb", description=path.name, console=console, disable=quiet)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    with bar as file:
        yield cast(BinaryIO, gzip.GzipFile(fileobj=file)) if path.suffix == ".gz" else file


def messages(file: BinaryIO) -> Iterator[tuple[int, bytes | DeadLetter]]:
    """Yield the number of each line that is not blank, from 1, and the line; a DeadLetter where it is too long.

    Raises MillraceError where it cannot be read to its end.
    """
    number, line = 1, Fragments()
    for piece in _pieces(file):
        line.add(piece)
        if piece.endswith(b"\n"):
            yield from _whole(number, line)
            number, line = number + 1, Fragments()
    yield from _whole(number, line)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    try:
        yield from iter(partial(file.readline, PIECE), b"")
    except BROKEN as error:
        raise MillraceError(f"{file.name} cannot be read to its end: {error}") from None


def _whole(number: int, line: Fragments) -> Iterator[tuple[int, bytes | DeadLetter]]:
    found = line.finish()
    if isinstance(found, DeadLetter):
        found.position = number
        yield number, found
    elif found := found.strip():
        yield number, found
