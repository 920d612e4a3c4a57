"""libaio, which MySQL is linked against: the system's, else a pinned Debian package in the cache."""

import ctypes
import io
import tarfile
from pathlib import Path

from millrace.stack.unpack import once

NAME = "libaio.so.1"  # Debian 13 and Ubuntu 24.04 call theirs libaio.so.1t64, which MySQL does not look for


def library_path() -> Path | None:
    """Return the folder to put on LD_LIBRARY_PATH, None when the system has the library."""
    try:
        ctypes.CDLL(NAME)
        return None
    except OSError:
        return once("libaio", _extract)


def members(archive: bytes) -> dict[str, bytes]:
    """Return the files in an `ar` archive, which is what a .deb is."""
    if not archive.startswith(b"!<arch>\n"):
        raise ValueError("not an ar archive")
    found, at = {}, 8
    while at < len(archive):
        header = archive[at : at + 60]
        size = int(header[48:58])
        found[header[:16].decode().rstrip(" /")] = archive[at + 60 : at + 60 + size]
        at += 60 + size + size % 2  # members begin at even offsets
    return found


def _extract(package: Path, folder: Path) -> None:
    data = members(package.read_bytes())["data.tar.xz"]
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        library = next(file for file in tar if file.isfile() and f"/{NAME}" in file.name)
        content = tar.extractfile(library)
        assert content is not None  # it is a file
        (folder / NAME).write_bytes(content.read())
