"""Start processes of millrace together, and stop them together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from millrace import config, stack
from millrace.cdc import postgres
from millrace.config import Settings
from millrace.errors import MillraceError

STOP_WITHIN = 45.0  # seconds for a process to end after SIGTERM
READY_WITHIN = 60.0  # seconds
PLACES = ("kafka_bootstrap", "mongodb_url", "postgres_url", "cdc_source_url", "connect_url", "clickhouse_url")
NOWHERE = {name: Settings.model_fields[name].default for name in PLACES}

Process = subprocess.Popen[bytes]


@contextmanager
def serving(settings: Settings, servers: Sequence[str] = ("kafka",)) -> Iterator[Settings]:
    """Run `servers` in the home during the block; those that ran before go on after it.

    Yields the settings with their addresses, whatever the environment names: simulated events go to no others, and
    nobody else's tables are captured.
    """
    ours = [name for name in servers if name not in _running(settings)]
    settings = settings.model_copy(update=NOWHERE)
    try:
        stack.up(servers, settings)
        yield stack.reaching(settings, servers)
    finally:
        if ours:
            stack.down(settings, ours)


def _running(settings: Settings) -> set[str]:
    return {row.name for row in stack.status(settings) if row.port and row.ready}


@contextmanager
def started(settings: Settings, name: str, *arguments: str, **known: str) -> Iterator[Process]:
    """Run `millrace ARGUMENTS` during the block, then stop it by SIGTERM; its output goes to logs/<name>.log.

    Its environment has `known`; its home, SQLite file and servers are those of `settings`, whatever the environment
    names.
    """
    log = settings.home / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    ours = {"HOME": str(settings.home), "KAFKA_BOOTSTRAP": settings.kafka_bootstrap, "SQLITE_URL": settings.sqlite}
    if settings.mongodb_url:
        ours["MONGODB_URL"] = settings.mongodb_url.get_secret_value()
    if settings.connect_url:
        ours |= {"CDC_SOURCE_URL": postgres.source(settings), "CONNECT_URL": settings.connect_url}
    if settings.clickhouse_url:
        ours["CLICKHOUSE_URL"] = settings.clickhouse
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
