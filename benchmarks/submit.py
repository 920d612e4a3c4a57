"""Run a Spark application to its end, as users do, and take its batches from its own log."""

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import ratio
from millrace.errors import MillraceError
from millrace.spark import launch
from millrace.stack.process import tail

JOBS = Path(__file__).parent / "jobs"
CORES = 2


@dataclass(frozen=True)
class Run:
    """What an application took: `seconds` of wall clock and `cpu` seconds in all, and its micro-batches."""

    seconds: float
    cpu: float
    batches: list[dict[str, Any]]

    @property
    def records(self) -> int:
        """Records read."""
        return sum(batch["input_rows"] for batch in self.batches)

    @property
    def steady(self) -> float:
        """Records a second of batch time after the first batch, in which the JVM warms up."""
        later = self.batches[1:]
        return ratio(sum(batch["input_rows"] for batch in later), sum(batch["batch_seconds"] for batch in later))


def ours(job: str, *options: str) -> list[str]:
    """Return the command line of one of millrace's jobs with its settings."""
    return launch.command(job, [*options, "--log-format", "json"], CORES)


def beside(script: str, *options: str) -> list[str]:
    """Return the command line of a script of benchmarks/jobs under the same settings."""
    return [*launch.command("hashtags", [], CORES)[:-1], str(JOBS / script), *options, "--log-format", "json"]


def plain(script: str, *options: str) -> list[str]:
    """Return the command line of a script of benchmarks/jobs under Spark's default settings."""
    submit = launch.command("hashtags", [], CORES)[0]
    local = ["--master", f"local[{CORES}]", "--driver-memory", "2g", "--conf", "spark.driver.bindAddress=127.0.0.1"]
    return [submit, *local, str(JOBS / script), *options, "--log-format", "json"]


def run(command: Sequence[str], log: Path, env: Mapping[str, str]) -> Run:
    """Run `command` with its output in `log` and `env` set; raises MillraceError with the log's end when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with log.open("wb") as out:
        environment = {**os.environ, **launch.environment(), **env}
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise MillraceError(f"{' '.join(command[-8:])} ended with exit code {child.returncode}: {tail(log)}")
    return Run(time.monotonic() - began, usage.ru_utime + usage.ru_stime, batches(log))


def batches(log: Path) -> list[dict[str, Any]]:
    """Return the micro-batches that a job's JSON log tells of, in order."""
    lines = (json.loads(line) for line in log.read_text().splitlines() if line.startswith('{"time"'))
    return [line for line in lines if line["message"] == "batch"]
