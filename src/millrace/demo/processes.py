"""Start processes of millrace together, and stop them together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from millrace import config, stack
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.stack.server import LOOPBACK

STOP_WITHIN = 45.0  # seconds for a process to end after SIGTERM
READY_WITHIN = 60.0  # seconds

Process = subprocess.Popen[bytes]


@contextmanager
def serving(settings: Settings, documents: bool = False) -> Iterator[Settings]:
    """Run Kafka and, for `documents`, MongoDB in the home during the block; those that ran before go on after it.

    Yields the settings with their addresses, whatever the environment names: simulated events go to no others.
    """
    wanted = ["kafka", *(["mongodb"] if documents else [])]
    ours = [name for name in wanted if name not in _ports(settings)]
    try:
        stack.up(wanted, settings)
        places = {name: f"{LOOPBACK}:{port}" for name, port in _ports(settings).items()}
        mongodb = SecretStr(f"mongodb://{places['mongodb']}") if documents else None
        yield settings.model_copy(update={"kafka_bootstrap": places["kafka"], "mongodb_url": mongodb})
    finally:
        if ours:
            stack.down(settings, ours)


def _ports(settings: Settings) -> dict[str, int]:
    return {row.name: row.port for row in stack.status(settings) if row.port and row.ready}


@contextmanager
def started(settings: Settings, name: str, *arguments: str, **known: str) -> Iterator[Process]:
    """Run `millrace ARGUMENTS` during the block, then stop it by SIGTERM; its output goes to logs/<name>.log.

    Its environment has `known`; its broker, MongoDB, SQLite file and home are those of `settings`, whatever the
    environment names.
    """
    log = settings.home / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    ours = {"HOME": str(settings.home), "KAFKA_BOOTSTRAP": settings.kafka_bootstrap, "SQLITE_URL": settings.sqlite}
    if settings.mongodb_url:
        ours["MONGODB_URL"] = settings.mongodb_url.get_secret_value()
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
