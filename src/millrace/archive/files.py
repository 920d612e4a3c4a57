"""The few things that the archive asks of a file system, for a local folder and for HDFS (through WebHDFS, no Java)."""

import getpass
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import requests
from hdfs import HdfsError, InsecureClient

from millrace.config import Settings
from millrace.errors import MillraceError, Unavailable

TIMEOUT = (10, 120)  # seconds to connect, and without a byte
WEB_PORT = 9870
FULL = ("QuotaExceeded", "quota of", "No space left", "Disk quota exceeded")
_GONE = (
    "StandbyException",
    "RetriableException",
    "SafeModeException",
    "Failed to find datanode",
    "could only be written",
)
logging.getLogger("hdfs").setLevel(logging.WARNING)


class Exists(MillraceError):
    """Somebody else was faster: the file is there already."""


@dataclass(frozen=True)
class Status:
    """A file or folder: its path below the root, and its size in bytes."""

    path: str
    size: int
    folder: bool


class Files(Protocol):
    """A tree of files; paths are relative to its root. What is not there is an empty folder."""

    url: str

    def list(self, folder: str) -> list[Status]:
        """Return what lies directly in `folder`, by name."""

    def read(self, path: str) -> bytes:
        """Return a file's bytes; raises FileNotFoundError."""

    def write(self, path: str, data: bytes) -> None:
        """Write a whole file, replacing what is there; on HDFS others may see a part of it meanwhile."""

    def create(self, path: str, data: bytes) -> None:
        """Write a whole file at once, or not at all; raises Exists when it is there."""

    def move(self, source: str, target: str) -> None:
        """Rename a file or folder; raises Exists when `target` is there, FileNotFoundError when `source` is not."""

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with all in it."""


def at(url: str, web: str | None = None) -> Files:
    """Return the files below `url` (hdfs:// or file://, nothing encoded); `web` is the NameNode's HTTP side."""
    if not url.startswith("hdfs:"):
        return Local(url, local(url))
    parts = urlsplit(url)
    return Web(url, web or f"http://{parts.hostname}:{WEB_PORT}", parts.path or "/")


def local(url: str) -> Path:
    """Return the path in a file:// URL."""
    return Path(url.removeprefix("file://"))


def of(settings: Settings) -> Files:
    """Return the files of the archive that `settings` name."""
    return at(settings.archive, settings.webhdfs_url)


def walk(files: Files, folder: str = "") -> Iterator[Status]:
    """Yield every file below `folder` whose path has no part that begins with `.` or `_`, sorted by folder."""
    for each in files.list(folder):
        if each.path.rpartition("/")[2].startswith((".", "_")):
            continue
        if each.folder:
            yield from walk(files, each.path)
        else:
            yield each


class Local:
    """A local folder."""

    def __init__(self, url: str, root: Path) -> None:
        self.url, self.root = url, root

    def list(self, folder: str) -> list[Status]:
        path = self.root / folder
        with self._errors(folder):
            try:
                found = sorted(path.iterdir())
            except FileNotFoundError:
                return []
        return [Status(f"{folder}/{each.name}".lstrip("/"), _size(each), each.is_dir()) for each in found]

    def read(self, path: str) -> bytes:
        with self._errors(path):
            return (self.root / path).read_bytes()

    def write(self, path: str, data: bytes) -> None:
        self._fresh(path, data).replace(self.root / path)

    def create(self, path: str, data: bytes) -> None:
        fresh = self._fresh(path, data)
        try:
            (self.root / path).hardlink_to(fresh)
        except FileExistsError:
            raise Exists(f"{path} is there already") from None
        finally:
            fresh.unlink()

    def move(self, source: str, target: str) -> None:
        if (self.root / target).exists():
            raise Exists(f"{target} is there already")
        (self.root / target).parent.mkdir(parents=True, exist_ok=True)
        (self.root / source).rename(self.root / target)

    def remove(self, path: str) -> None:
        target = self.root / path
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)

    def _fresh(self, path: str, data: bytes) -> Path:
        target = self.root / _temporary(path)
        with self._errors(path):
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
        return target

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise MillraceError(f"{self.url}/{path}: {error.strerror}") from None


class Web:
    """A folder of HDFS, through the NameNode's HTTP side."""

    def __init__(self, url: str, web: str, root: str) -> None:
        self.url, self.web = url, web
        session = requests.Session()
        session.trust_env = False  # no proxy stands between a cluster and its clients
        self.client = InsecureClient(web, user=getpass.getuser(), root=root, timeout=TIMEOUT, session=session)

    def list(self, folder: str) -> list[Status]:
        with self._errors(folder):
            try:
                found = self.client.list(folder or ".", status=True)
            except HdfsError as error:
                if "does not exist" in str(error):
                    return []
                raise
        found = [(name, status) for name, status in found if name]
        return [
            Status(f"{folder}/{name}".lstrip("/"), status["length"], status["type"] == "DIRECTORY")
            for name, status in sorted(found, key=lambda each: str(each[0]))
        ]

    def read(self, path: str) -> bytes:
        with self._errors(path), self.client.read(path) as reader:
            return bytes(reader.read())

    def write(self, path: str, data: bytes) -> None:
        with self._errors(path):
            self.client.write(path, data=data, overwrite=True)

    def create(self, path: str, data: bytes) -> None:
        name = _temporary(path)
        self.write(name, data)
        try:
            self.move(name, path)
        except Exists:
            self.remove(name)
            raise

    def move(self, source: str, target: str) -> None:
        with self._errors(source):
            if self.client.status(target, strict=False):  # HDFS would move it into a folder
                raise Exists(f"{target} is there already")
            self.client.makedirs(target.rpartition("/")[0] or ".")
            try:
                self.client.rename(source, target)
            except HdfsError:
                if self.client.status(target, strict=False):
                    raise Exists(f"{target} is there already") from None
                if not self.client.status(source, strict=False):
                    raise FileNotFoundError(f"{source} is not there") from None
                raise

    def remove(self, path: str) -> None:
        with self._errors(path):
            self.client.delete(path, recursive=True)

    @contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        place = f"HDFS at {self.web}, {self.url}/{path}"
        try:
            yield
        except requests.RequestException as error:
            raise Unavailable(f"{place}: {type(error).__name__}; is MILLRACE_WEBHDFS_URL right, and HDFS up?") from None
        except HdfsError as error:
            text, whole = next(iter(str(error).splitlines()), ""), f"{error.exception}: {error}"
            if any(word in whole for word in FULL):
                raise MillraceError(f"{place} is full: make room; {text}") from None
            if "does not exist" in text or "not found" in text:
                raise FileNotFoundError(f"{place}: {text}") from None
            raise (Unavailable if any(word in whole for word in _GONE) else MillraceError)(f"{place}: {text}") from None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _temporary(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/_{name}.{os.getpid()}.{os.urandom(4).hex()}".lstrip("/")
