"""Build a job's spark-submit command line, and an environment in which it works without a Java on the system."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from millrace import config
from millrace.errors import ConfigError
from millrace.spark.launch import startup_cache
from millrace.spark.launch.home import conf, jobs, spark_home
from millrace.stack import java


def environment() -> dict[str, str]:
    """Return the environment variables with which plain `spark-submit` works in a shell without Java."""
    bin_folder = Path(sys.executable).parent
    logging = f"-Dlog4j2.configurationFile={conf('log4j2.properties')}"
    return {
        "JAVA_HOME": str(java.home()),
        "SPARK_HOME": str(spark_home()),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_SUBMIT_OPTS": f"{logging} {startup_cache.option()}".strip(),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "PATH": f"{bin_folder}:{os.environ.get('PATH', '')}",
    }


def exports() -> str:
    """Return `environment()` as shell lines for `eval "$(millrace env)"`."""
    return "\n".join(f"export {key}={shlex.quote(value)}" for key, value in environment().items())


def command(job: str, arguments: Sequence[str], cores: int | None = None, memory: str = "2g") -> list[str]:
    """Return the spark-submit command line of `job`; raises ConfigError that lists the jobs if there is none such.

    Without `cores`, Spark gets all cores and a task slot for each partition of a topic, up to two per core: tasks that
    read wait more than they compute, and a second wave of them would double the latency of a small batch.
    """
    path = jobs().get(job)
    if path is None:
        raise ConfigError(f"no job {job!r}: there are {', '.join(jobs())}")
    present = len(os.sched_getaffinity(0))
    slots = cores or max(present, min(config.load().partitions, 2 * present))
    shuffled = ["--conf", f"spark.sql.shuffle.partitions={min(slots, present)}"]
    return [*submit(slots), *shuffled, "--driver-memory", memory, str(path), *arguments]


def run(job: str, arguments: Sequence[str], cores: int | None = None, memory: str = "2g") -> NoReturn:
    """Replace this process by the job's spark-submit, so that signals reach it and its exit code is ours."""
    line = command(job, arguments, cores, memory)
    os.execve(line[0], line, {**os.environ, **environment()})


def submit(slots: int) -> list[str]:
    """Return the start of a spark-submit command line with `slots` task slots."""
    program = str(spark_home() / "bin" / "spark-submit")
    return [program, "--properties-file", str(conf("local.conf")), "--master", f"local[{slots}]"]
