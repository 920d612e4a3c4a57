"""Provide the SPARK_HOME that jobs run on (pyspark plus the Kafka connector), the jobs and the files of spark-conf."""

import hashlib
from collections.abc import Sequence
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

from millrace.stack.artifacts import cache, only_one
from millrace.stack.fetch import fetch

PACKAGE = Path(str(files("millrace")))
CHECKOUT = PACKAGE.parent.parent
PROGRAMS = ("bin", "sbin")


def folder(name: str, packaged: str) -> Path:
    """Return the folder `name` of a checkout, or its copy inside the installed package."""
    checkout = CHECKOUT / name
    return checkout if checkout.is_dir() else PACKAGE / packaged


def jobs() -> dict[str, Path]:
    """Return the paths of the jobs that `millrace run` offers, by name."""
    return {path.stem: path for path in sorted(folder("jobs", "_jobs").glob("*.py"))}


def conf(name: str) -> Path:
    """Return the path of a file of spark-conf."""
    return folder("spark-conf", "_conf") / name


def spark_home() -> Path:
    """Return a SPARK_HOME of links: pyspark's own programs and jars, and the jars of the Kafka connector.

    It has no `python/lib/pyspark.zip`: Python would compile all of it at each start of a driver and of its workers; the
    installed package is the same and already compiled. All environments with this Spark share the home, and so the
    start-up cache in it; links that broke when an environment was removed are created again.
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
