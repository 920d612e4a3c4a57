"""The ClickHouse that nobody has to start: the one process that owns a folder of data is found, or started.

chDB opens a folder in one process alone, so all others ask that one by HTTP. It ends by itself when nobody has asked
for a while, and with `millrace down`; whoever needs it then starts it again.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from millrace.errors import ConfigError, Unavailable
from millrace.stack import clickhouse, process
from millrace.stack.process import Running
from millrace.stack.server import free_port

IDLE = 900.0  # seconds after which a process that nobody asks ends
LOG = "server.log"
ATTEMPTS = 3  # a port is free when it is chosen, and may be taken before the server binds it


def url(folder: Path, idle: float = IDLE) -> str:
    """Return http://127.0.0.1:PORT of the process that serves the data in `folder`, started if none is alive.

    Raises ConfigError without chDB, or when the folder cannot be written, Unavailable when no process gets ready.
    """
    running = process.read(folder / clickhouse.PID_FILE)
    if not (running and running.alive() and _answers(folder, running)):
        with _one_at_a_time(folder):
            running = _found(folder) or _started(folder, idle)
    return clickhouse.address(folder, running.port)


def _answers(folder: Path, running: Running) -> bool:
    try:
        clickhouse.check(clickhouse.address(folder, running.port))
    except Unavailable:
        return False
    return True


def _found(folder: Path) -> Running | None:
    running = process.read(folder / clickhouse.PID_FILE)
    if not (running and running.alive()):
        return None
    _wait(folder, running)
    return running


def _started(folder: Path, idle: float, attempts: int = ATTEMPTS) -> Running:
    port = free_port()
    launch = clickhouse.launch(folder, port, idle)
    running = process.start(launch, folder / LOG, folder / clickhouse.PID_FILE, port)
    try:
        _wait(folder, running)
    except Unavailable:
        if attempts == 1 or running.alive():
            raise
        return _started(folder, idle, attempts - 1)
    return running


def _wait(folder: Path, running: Running) -> None:
    where = clickhouse.address(folder, running.port)
    process.wait_ready("the embedded ClickHouse", running, lambda: clickhouse.check(where), folder / LOG)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "start.lock").open("w")
    except OSError as error:
        raise ConfigError(f"chdb://{folder}: {error.strerror}: its folder is to be written by this user") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
