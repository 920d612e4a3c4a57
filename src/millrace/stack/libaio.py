"""libaio, which MySQL and MariaDB are linked against: the system's, else a pinned Debian package in the cache."""

import ctypes
import io
import tarfile
from pathlib import Path

from millrace.stack.debian import members
from millrace.stack.unpack import once

NAME = "libaio.so.1"  # Debian 13 and Ubuntu 24.04 call theirs libaio.so.1t64, which they do not look for


def library_path() -> Path | None:
    """Return the folder to put on LD_LIBRARY_PATH, None when the system has the library."""
    try:
        ctypes.CDLL(NAME)
        return None
    except OSError:
        return once("libaio", _extract)


def _extract(package: Path, folder: Path) -> None:
    data = members(package.read_bytes())["data.tar.xz"]
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        library = next(file for file in tar if file.isfile() and f"/{NAME}" in file.name)
        content = tar.extractfile(library)
        assert content is not None  # it is a file
        (folder / NAME).write_bytes(content.read())
