"""What spark-submit needs on a bare machine: a Java, a Spark home with the Kafka connector, and the start-up cache."""

import hashlib
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path
from typing import NoReturn

from millrace import config
from millrace.errors import ConfigError
from millrace.stack import java
from millrace.stack.fetch import cache, fetch, only_one

PACKAGE = Path(str(files("millrace")))
CHECKOUT = PACKAGE.parent.parent
PROGRAMS = ("bin", "sbin")
SILENT = "-Xlog:aot*=off -Xlog:aot+codecache*=off -Xlog:cds*=off"


def folder(name: str, packaged: str) -> Path:
    """Return the folder `name` of a checkout, or its copy inside the installed package."""
    checkout = CHECKOUT / name
    return checkout if checkout.is_dir() else PACKAGE / packaged


def jobs() -> dict[str, Path]:
    """Return the jobs that `millrace run` knows, by name."""
    return {path.stem: path for path in sorted(folder("jobs", "_jobs").glob("*.py"))}


def conf(name: str) -> Path:
    """Return the path of a file of spark-conf."""
    return folder("spark-conf", "_conf") / name


def spark_home() -> Path:
    """Return a SPARK_HOME of links: pyspark's own programs, and beside its jars those of the Kafka connector.

    It has no `python/lib/pyspark.zip`: Python would compile all of it at each start, of a driver and of its workers;
    what is installed is the same and compiled. All environments with this Spark share the home, and so the start-up
    cache in it; links that went with an environment are made anew.
    """
    installed = distribution("pyspark")  # not pyspark.__file__, which is in a zip without jars inside spark-submit
    source = Path(str(installed.locate_file("pyspark")))
    jars = [*sorted((source / "jars").glob("*.jar")), *fetch("spark-kafka")]
    names = hashlib.sha256("\n".join([*PROGRAMS, *(jar.name for jar in jars)]).encode()).hexdigest()[:8]
    home = cache() / "spark" / f"{installed.version}-{names}"
    if not _whole(home, jars):
        with only_one("spark-home"):
            if not _whole(home, jars):  # no other process was faster
                _link(home, source, jars)
    return home


def _whole(home: Path, jars: Sequence[Path]) -> bool:
    return (home / "bin" / "spark-submit").exists() and all((home / "jars" / jar.name).exists() for jar in jars)


def _link(home: Path, source: Path, jars: Sequence[Path]) -> None:
    (home / "jars").mkdir(parents=True, exist_ok=True)
    links = {home / name: source / name for name in PROGRAMS}
    for link, target in (links | {home / "jars" / jar.name: jar for jar in jars}).items():
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def environment() -> dict[str, str]:
    """Return the variables that make plain `spark-submit` work in a shell without Java."""
    bin_folder = Path(sys.executable).parent
    logging = f"-Dlog4j2.configurationFile={conf('log4j2.properties')}"
    return {
        "JAVA_HOME": str(java.home()),
        "SPARK_HOME": str(spark_home()),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_SUBMIT_OPTS": f"{logging} {_startup_cache_option()}".strip(),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "PATH": f"{bin_folder}:{os.environ.get('PATH', '')}",
    }


def exports() -> str:
    """Return `environment()` as shell lines for `eval "$(millrace env)"`."""
    return "\n".join(f"export {key}={shlex.quote(value)}" for key, value in environment().items())


def command(job: str, arguments: Sequence[str], cores: int | None = None, memory: str = "2g") -> list[str]:
    """Return the spark-submit command line of a job on `cores` (default: all); raises ConfigError that lists the jobs.

    Unless told how many cores, Spark gets a task slot for each partition of a topic too: tasks that read wait more than
    they compute, and a second wave of them would double the latency of a small batch.
    """
    path = jobs().get(job)
    if path is None:
        raise ConfigError(f"no job {job!r}: there are {', '.join(jobs())}")
    present = len(os.sched_getaffinity(0))
    slots = cores or max(present, min(config.load().partitions, 2 * present))
    shuffled = ["--conf", f"spark.sql.shuffle.partitions={min(slots, present)}"]
    return [*_submit(slots), *shuffled, "--driver-memory", memory, str(path), *arguments]


def run(job: str, arguments: Sequence[str], cores: int | None = None, memory: str = "2g") -> NoReturn:
    """Become the spark-submit process of a job, so that signals reach it and its exit code is ours."""
    line = command(job, arguments, cores, memory)
    os.execve(line[0], line, {**os.environ, **environment()})


def startup_cache() -> Path:
    """Return where the JDK's ahead-of-time cache for this Spark home lies; it may not exist yet.

    A JVM refuses one that was built with other jars; they are the same while size and time of change are.
    """
    home = spark_home()
    stats = [jar.stat() for jar in sorted((home / "jars").iterdir())]
    jars = hashlib.sha256(repr([(stat.st_size, stat.st_mtime_ns) for stat in stats]).encode()).hexdigest()[:8]
    return home / f"startup-{java.VERSION}-{jars}.aot"


def _startup_cache_option() -> str:
    path = startup_cache()
    return f"-XX:AOTCache={path} {SILENT}" if path.exists() else ""


def build_startup_cache_in_background(bootstrap: str, topic: str) -> None:
    """Build the start-up cache once, at low priority, in a process that outlives this one; returns at once."""
    if not startup_cache().exists():
        with (cache() / "startup-cache.log").open("w") as out:
            builder = [sys.executable, "-m", "millrace.launch", bootstrap, topic]
            subprocess.run(
                ["setsid", "--fork", "nice", "-n", "19", *builder],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True,
            )  # fmt: skip


def build_startup_cache(bootstrap: str, topic: str) -> Path:
    """Run one micro-batch from `topic` under the JDK's recorder (about a minute) and return the cache's path."""
    path = startup_cache()
    with only_one("startup-cache"):
        if not path.exists():
            fresh = path.with_suffix(".part")
            script = path.with_suffix(".py")  # not warm.py itself: its folder holds packages named like libraries
            script.write_text("import sys\nfrom millrace.warm import main\nmain(*sys.argv[1:])\n")
            options = f"-Dlog4j2.configurationFile={conf('log4j2.properties')} -XX:AOTCacheOutput={fresh} {SILENT}"
            try:
                subprocess.run(
                    [*_submit(2), str(script), bootstrap, topic],
                    env={**os.environ, **environment(), "SPARK_SUBMIT_OPTS": options, "JDK_JAVA_OPTIONS": ""},
                    check=True,
                )  # fmt: skip
                for old in path.parent.glob("startup-*.aot"):  # 200 MB each, and of no use to the jars there are now
                    old.unlink()
                fresh.rename(path)
            finally:
                fresh.unlink(missing_ok=True)
    return path


def _submit(slots: int) -> list[str]:
    submit = str(spark_home() / "bin" / "spark-submit")
    return [submit, "--properties-file", str(conf("local.conf")), "--master", f"local[{slots}]"]


if __name__ == "__main__":
    build_startup_cache(*sys.argv[1:])
