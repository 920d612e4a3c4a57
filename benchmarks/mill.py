"""A millrace of the benchmarks' own: a temporary home, its servers, and the processes that run in it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from dotenv import dotenv_values

from millrace import config, stack
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.kafka import topics
from millrace.kafka.topics import Topic
from millrace.stack.process import tail

STOP_WITHIN = 30  # seconds until SIGKILL
LOOK = 0.02  # seconds between looks
T = TypeVar("T")


@contextmanager
def servers(*names: str) -> Iterator[Settings]:
    """Yield settings of a fresh home with the servers `names`; they are stopped and removed at the end."""
    home = Path(tempfile.mkdtemp(prefix="millrace-bench-"))
    before = dict(os.environ)
    for key in [key for key in os.environ if key.startswith("MILLRACE_")]:
        del os.environ[key]  # never the user's own servers
    os.environ["MILLRACE_HOME"] = str(home)
    try:
        stack.up(names, config.load(home=home))
        os.environ.update({key: value or "" for key, value in dotenv_values(home / "servers.env").items()})
        yield config.load(home=home)
    finally:
        stack.down(config.load(home=home), data=True)
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(home, ignore_errors=True)


def topic(settings: Settings, name: str, partitions: int) -> str:
    """Create a topic of post.v1 records and return its name."""
    topics.create(settings.kafka_bootstrap, [Topic(name, "id", "post.v1")], partitions)
    return name


def millrace(*arguments: object) -> list[str]:
    """Return the command line of `millrace ARGUMENTS`."""
    return [sys.executable, "-m", "millrace", *map(str, arguments)]


@contextmanager
def process(command: list[str], log: Path, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` with its output in `log`; SIGTERM at the end, SIGKILL when that does not help."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **(env or {})}
        )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def wait_for(child: subprocess.Popen[bytes], log: Path, look: Callable[[], T | None], within: float = 180.0) -> T:
    """Return what `look` finds as soon as it is not None; raises MillraceError when `child` dies or time runs out."""
    deadline = time.monotonic() + within
    while (found := look()) is None:
        if child.poll() is not None or time.monotonic() > deadline:
            raise MillraceError(f"{' '.join(map(str, child.args[:6]))}: {tail(log)}")  # type: ignore[index]
        time.sleep(LOOK)
    return found


def progress(settings: Settings, name: str) -> dict[str, Any]:
    """Return what job `name` last told about itself; {} before it did."""
    try:
        told: dict[str, Any] = json.loads((settings.home / "run" / f"{name}.json").read_text())
    except FileNotFoundError:
        return {}
    return told
