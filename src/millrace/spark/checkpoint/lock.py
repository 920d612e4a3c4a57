"""Run one copy of a job at a time, by a lock beside its checkpoint."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame

from millrace.archive import lease
from millrace.errors import MillraceError
from millrace.sinks.together import Writer
from millrace.spark.checkpoint.place import Place

STALE = 60  # seconds without a heartbeat after which another machine may take over
OWN = "give this one its own --checkpoint"


@dataclass(frozen=True)
class Lock:
    """What its holder calls: `beat` about each second; `check` before each batch, which raises if it lost the lock."""

    beat: Callable[[], None] = lambda: None
    check: Callable[[], None] = lambda: None

    def guard(self, writer: Writer) -> Writer:
        """Return a writer that writes nothing once the lock is lost."""

        def write(batch: DataFrame, batch_id: int) -> None:
            self.check()
            writer(batch, batch_id)

        return write


@contextmanager
def hold(place: Place) -> Iterator[Lock]:
    """Hold the lock of a checkpoint during the block; raises MillraceError that names the holder.

    In a local folder the kernel keeps it (`exclusive`). Elsewhere it is a lease, a file `<checkpoint>.lock` with a
    heartbeat: a holder of this machine that died loses it at once, one of another machine after a minute.
    """
    if place.folder:
        with exclusive(str(place.folder)) as path:
            yield Lock(beat=partial(beat, path))
        return
    with lease.hold(place.beside, f"{place.name}.lock", OWN) as held:
        yield Lock(check=held.check)


@contextmanager
def exclusive(checkpoint: str) -> Iterator[Path]:
    """Hold `<checkpoint>.lock` (host, pid, heartbeat) of a local folder; raises MillraceError that names the holder.

    Yields the lock's path. The kernel releases the lock when its holder dies, however it dies. If another machine that
    shares the folder holds it, the heartbeat decides.
    """
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
        f"another copy of this job runs (pid {holder.get('pid', '?')} on {holder.get('host', '?')}): stop it, or {OWN}."
        f" Lock: {path}"
    )
