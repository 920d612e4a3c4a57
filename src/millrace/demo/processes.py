"""Start processes of millrace together, and stop them together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from millrace import config, stack
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.stack.server import LOOPBACK

STOP_WITHIN = 45.0  # seconds for a process to end after SIGTERM
READY_WITHIN = 60.0  # seconds

Process = subprocess.Popen[bytes]


@contextmanager
def broker(settings: Settings) -> Iterator[Settings]:
    """Run the local Kafka of the home during the block; one that ran before goes on running after it.

    Yields the settings with its address, whatever broker the environment names: simulated events go to no other.
    """
    ours = _local_broker(settings) is None
    try:
        stack.up(["kafka"], settings)
        yield settings.model_copy(update={"kafka_bootstrap": _local_broker(settings)})
    finally:
        if ours:
            stack.down(settings, ["kafka"])


def _local_broker(settings: Settings) -> str | None:
    found = [row.port for row in stack.status(settings) if row.name == "kafka" and row.ready]
    return f"{LOOPBACK}:{found[0]}" if found else None


@contextmanager
def started(settings: Settings, name: str, *arguments: str, **known: str) -> Iterator[Process]:
    """Run `millrace ARGUMENTS` during the block, then stop it by SIGTERM; its output goes to logs/<name>.log.

    Its environment has `known`; its broker, SQLite file and home are those of `settings`, whatever the environment
    names.
    """
    log = settings.home / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    ours = {"HOME": str(settings.home), "KAFKA_BOOTSTRAP": settings.kafka_bootstrap, "SQLITE_URL": settings.sqlite}
    environment = {**os.environ, **known, "PYTHONUNBUFFERED": "1"}
    environment |= {config.PREFIX + key: value for key, value in ours.items()}
    log.unlink(missing_ok=True)
    with log.open("ab") as file:  # appending, for spark-submit and the job both write
        process = subprocess.Popen(
            [sys.executable, "-m", "millrace", *arguments],
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        stop(process)


def stop(process: Process) -> None:
    """Stop a process by SIGTERM, and by SIGKILL if it does not end in time."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def check(processes: Iterable[Process]) -> None:
    """Raise MillraceError when one of `processes` has ended."""
    for process in processes:
        if process.poll() is not None:
            arguments = " ".join(map(str, process.args[2:]))  # type: ignore[index]
            raise MillraceError(f"`{arguments}` ended with exit code {process.returncode}: see the logs folder")


def address(settings: Settings, name: str) -> str:
    """Return the address after `ready` in logs/<name>.log, once it is there; raises MillraceError on timeout."""
    log, deadline = settings.home / "logs" / f"{name}.log", time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        for line in log.read_text().splitlines() if log.exists() else ():
            if line.startswith("ready "):
                return line.split()[1]
        time.sleep(0.1)
    raise MillraceError(f"{name} did not start: see {log}")
