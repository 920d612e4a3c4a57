"""Detached processes by pid file: start, wait until ready, stop; a reused pid is never touched."""

import json
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from millrace.errors import Unavailable
from millrace.stack import accounts

READY_WITHIN = 180.0  # seconds; the machine may be busy with something else
STOP_WITHIN = 45.0  # seconds until SIGKILL
PAUSE = 0.1  # seconds between looks
LAST_LINES = 15
DETACH = '"$@" >&2 & echo $!'  # no child of ours: it outlives us, and leaves no zombie while we live
JAVA = "JDK_JAVA_OPTIONS"  # what the user tells every JVM
ENVIRONMENT = {"PATH": os.defpath, "LANG": "C.UTF-8"}  # no tokens, and no PGDATA and the like


@dataclass(frozen=True)
class Launch:
    """How to start a server: as `user` (None: as who starts it), with `env` added to the environment."""

    command: list[str]
    env: dict[str, str] = field(default_factory=dict)
    user: str | None = None


@dataclass(frozen=True)
class Running:
    """A process as its pid file has it; `started` (ticks since boot) tells it from a later one with it."""

    pid: int
    started: int
    port: int

    @classmethod
    def of(cls, pid: int, port: int) -> "Running":
        """Return what is to be told of the process `pid`, which serves `port`."""
        return cls(pid, _start_ticks(pid) or 0, port)

    def alive(self) -> bool:
        """Return whether that very process still runs."""
        return _start_ticks(self.pid) == self.started

    def memory(self) -> int:
        """Return its resident bytes with those of its children, of which some come and go; 0 once it ended."""
        try:
            process = psutil.Process(self.pid)
            family = [process, *process.children(recursive=True)]
        except psutil.Error:
            return 0
        return sum(map(_resident, family))


def read(pid_file: Path) -> Running | None:
    """Return what `pid_file` records, alive or not; None without a readable file."""
    try:
        return Running(**json.loads(pid_file.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def start(launch: Launch, log: Path, pid_file: Path, port: int) -> Running:
    """Start a server in a session of its own, its output appended to `log`, and write its pid file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        done = subprocess.run(
            ["/bin/sh", "-c", DETACH, "sh", *launch.command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=out,
            cwd="/",
            start_new_session=True,
            env=ENVIRONMENT | {key: os.environ[key] for key in (JAVA,) if key in os.environ} | launch.env,
            check=True,
            **accounts.identity(launch.user),
        )
    running = Running.of(int(done.stdout), port)
    note(running, pid_file)
    return running


def note(running: Running, pid_file: Path) -> None:
    """Write a pid file, which others see whole or not at all."""
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    fresh = pid_file.with_name(f"{pid_file.name}.{os.getpid()}")
    fresh.write_text(json.dumps(asdict(running)) + "\n")
    fresh.replace(pid_file)


def wait_ready(
    name: str, running: Running, check: Callable[[], object], log: Path, within: float = READY_WITHIN
) -> None:
    """Return once `check` raises nothing; raises Unavailable with the end of `log` if it dies or is late."""
    deadline = time.monotonic() + within
    while True:
        try:
            check()
            return
        except Unavailable as error:
            if not running.alive():
                raise Unavailable(f"{name} died while starting; the end of {log}:\n{tail(log)}") from error
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"{name} is not ready after {within:.0f} s ({error}); the end of {log}:\n{tail(log)}"
                ) from error
        time.sleep(PAUSE)


def stop(running: Running, first: signal.Signals = signal.SIGTERM, within: float = STOP_WITHIN) -> None:
    """Stop a process by the signal `first`, and after `within` seconds it and its children by SIGKILL."""
    with suppress(ProcessLookupError):  # it ended by itself
        if running.alive():
            os.kill(running.pid, first)
            if not _gone(running, within):
                os.killpg(os.getpgid(running.pid), signal.SIGKILL)
                _gone(running, within)


def tail(log: Path, lines: int = LAST_LINES) -> str:
    """Return the last lines of a log file."""
    with log.open(errors="replace") as text:
        return "".join(deque(text, lines)).rstrip()


def _gone(running: Running, within: float) -> bool:
    deadline = time.monotonic() + within
    while running.alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)
    return True


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # it has ended since
        return 0


def _start_ticks(pid: int) -> int | None:
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if status[0] in "ZX" else int(status[19])
