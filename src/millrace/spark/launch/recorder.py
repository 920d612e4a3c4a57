"""Build the start-up cache: run a short stream of real records once under the JDK's recorder."""

import os
import subprocess
import sys
from pathlib import Path

from millrace.spark.launch import startup_cache
from millrace.spark.launch.home import conf
from millrace.spark.launch.spark_submit import environment, submit
from millrace.stack.artifacts import cache, only_one


def build_in_background(bootstrap: str, topic: str) -> None:
    """Build a missing start-up cache at low priority in a process that outlives this one; returns at once."""
    if not startup_cache.path().exists():
        with (cache() / "startup-cache.log").open("w") as out:
            builder = [sys.executable, "-m", "millrace.spark.launch.recorder", bootstrap, topic]
            subprocess.run(
                ["setsid", "--fork", "nice", "-n", "19", *builder],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True,
            )  # fmt: skip


def build(bootstrap: str, topic: str) -> Path:
    """Run a short stream from `topic` under the JDK's recorder (about a minute) and return the cache's path."""
    path = startup_cache.path()
    with only_one("startup-cache"):
        if not path.exists():
            fresh = path.with_suffix(".part")
            script = path.with_suffix(".py")  # not warm_up.py: spark-submit would import from its folder first
            script.write_text("import sys\nfrom millrace.spark.launch.warm_up import main\nmain(*sys.argv[1:])\n")
            recording = f"-XX:AOTCacheOutput={fresh} {startup_cache.SILENT}"
            options = f"-Dlog4j2.configurationFile={conf('log4j2.properties')} {recording}"
            try:
                subprocess.run(
                    [*submit(2), str(script), bootstrap, topic],
                    env={**os.environ, **environment(), "SPARK_SUBMIT_OPTS": options, "JDK_JAVA_OPTIONS": ""},
                    check=True,
                )  # fmt: skip
                for old in path.parent.glob("startup-*.aot"):  # 200 MB each, and useless with the present jars
                    old.unlink()
                fresh.rename(path)
            finally:
                fresh.unlink(missing_ok=True)
    return path


if __name__ == "__main__":
    build(*sys.argv[1:])
