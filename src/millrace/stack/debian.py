"""Debian packages without dpkg: unpacked, not installed."""

import io
import tarfile
from pathlib import Path

from millrace.stack.unpack import once

LIBRARIES = Path("usr/lib/x86_64-linux-gnu")


def unpack(name: str) -> Path:
    """Return the folder with the content of the packages of bundle `name`."""
    return once(name, extract)


def extract(package: Path, folder: Path) -> None:
    """Put the files of a .deb below `folder`."""
    data = members(package.read_bytes())["data.tar.xz"]
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        tar.extractall(folder, filter="data")


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
