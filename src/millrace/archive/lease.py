"""One writer at a time: a file beside what is written says who holds it; for folders and HDFS alike."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import psutil

from millrace.archive.files import Exists, Files
from millrace.errors import MillraceError, Unavailable

BEAT = 15.0  # seconds between heartbeats
TRIES, PAUSE = 20, 0.1  # looks at a heartbeat that is being written, and seconds between them
STALE = 60.0  # seconds without one after which another machine may take over


@dataclass
class Lease:
    """What its holder asks before each commit."""

    files: Files
    path: str
    holder: dict[str, Any]
    instead: str  # what a second one may do
    ended: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raise MillraceError when somebody else has taken over, Unavailable when that cannot be told."""
        found = _read(self.files, self.path)
        if found.get("token") != self.holder["token"]:
            raise _taken(self.files, self.path, found, self.instead)

    def beat(self) -> None:
        """Say that the holder lives."""
        self.check()
        self.files.write(self.path, _encode(self.holder | {"heartbeat": time.time()}))

    def keep_beating(self) -> None:
        """Beat until the end; what goes wrong is found by the next `check`."""
        while not self.ended.wait(BEAT):
            with suppress(MillraceError):
                self.beat()


@contextmanager
def hold(files: Files, path: str, instead: str = "use another archive") -> Iterator[Lease]:
    """Hold the lease at `path`; raises MillraceError that names who has it, and what to do `instead`.

    A holder of this machine that died loses it at once, one of another machine after a minute without heartbeat.
    """
    me = psutil.Process()
    holder = {"host": socket.gethostname(), "pid": me.pid, "started": me.create_time(), "token": os.urandom(8).hex()}
    _take(files, path, holder, instead)
    lease = Lease(files, path, holder, instead)
    beating = threading.Thread(target=lease.keep_beating, daemon=True)
    beating.start()
    try:
        yield lease
    finally:
        lease.ended.set()
        beating.join()
        with suppress(Unavailable):  # who comes next sees that this process is gone
            if _read(files, path).get("token") == holder["token"]:
                files.remove(path)


def _take(files: Files, path: str, holder: dict[str, Any], instead: str) -> None:
    for _ in range(3):
        try:
            files.create(path, _encode(holder | {"heartbeat": time.time()}))
            return
        except Exists:
            found = _read(files, path)
            if _lives(found):
                raise _taken(files, path, found, instead) from None
            _put_aside(files, path, found)
    raise _taken(files, path, _read(files, path), instead)


def _put_aside(files: Files, path: str, dead: dict[str, Any]) -> None:
    """Move a dead holder's file away; somebody else may have done so a moment ago, and put theirs there."""
    aside = f"{path}.{os.urandom(4).hex()}"
    try:
        files.move(path, aside)
    except FileNotFoundError:
        return
    if _read(files, aside).get("token") != dead.get("token"):
        files.move(aside, path)
        return
    files.remove(aside)


def _lives(holder: dict[str, Any]) -> bool:
    if holder.get("host") != socket.gethostname():
        return bool(time.time() - holder.get("heartbeat", time.time()) < STALE)
    try:
        found = psutil.Process(holder["pid"])
        return bool(found.create_time() == holder["started"]) and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _read(files: Files, path: str) -> dict[str, Any]:
    """Return who holds it, {} where nobody does, or where it stays half written."""
    for _ in range(TRIES):
        try:
            holder: dict[str, Any] = json.loads(files.read(path))
            return holder
        except FileNotFoundError:
            return {}
        except ValueError:  # HDFS shows a file while it is being written
            time.sleep(PAUSE)
    return {}


def _encode(holder: dict[str, Any]) -> bytes:
    return json.dumps(holder).encode()


def _taken(files: Files, path: str, holder: dict[str, Any], instead: str) -> MillraceError:
    if not holder:
        return MillraceError(
            f"another writer was at work and left no name in {files.url}/{path}: remove that when no job writes there"
        )
    who = f"pid {holder.get('pid', '?')} on {holder.get('host', '?')}"
    return MillraceError(f"another writer is at work ({who}): stop it, or {instead}. Lease: {files.url}/{path}")
