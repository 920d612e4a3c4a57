"""Run one copy of a job at a time, by a lock file beside its checkpoint."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any

from millrace.errors import MillraceError

STALE = 60  # seconds without a heartbeat after which another machine may take over


@contextmanager
def exclusive(checkpoint: str) -> Iterator[Path | None]:
    """Hold `<checkpoint>.lock` (host, pid, heartbeat) during the block; raises MillraceError that names the holder.

    Yields the lock's path, or None for a checkpoint that is no local path (hdfs://, s3a://): that one is not locked.
    The kernel releases the lock when its holder dies, however it dies. If another machine that shares the folder holds
    it, the heartbeat decides.
    """
    if "://" in checkpoint:
        yield None
        return
    path = Path(checkpoint + ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        holder = _read(path)
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            raise _taken(path, holder) from None
        if (
            holder.get("host", socket.gethostname()) != socket.gethostname()
            and time.time() - holder["heartbeat"] < STALE
        ):
            raise _taken(path, holder)
        beat(path)
        try:
            yield path
        finally:
            path.write_text("{}")  # never removed: a second process may already hold it open


def beat(path: Path) -> None:
    """Write this process and a fresh heartbeat into the lock file."""
    path.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "heartbeat": time.time()}))


def _read(path: Path) -> dict[str, Any]:
    try:
        holder: dict[str, Any] = json.loads(path.read_text())
    except ValueError:  # nobody wrote it yet
        return {}
    return holder


def _taken(path: Path, holder: dict[str, Any]) -> MillraceError:
    return MillraceError(
        f"another copy of this job runs (pid {holder.get('pid', '?')} on {holder.get('host', '?')}): stop it, or give"
        f" this one its own --checkpoint. Lock: {path}"
    )
