"""Build pydoop, which writes the single file of the archive: `python -m millrace.cli.build_pydoop` (`make pydoop`).

It needs Python 3.11, a C++ compiler and libtirpc-dev. Its Java part calls a method that later Hadoops lack, so it is
built against 3.3.6; it runs with pyspark's own client of 3.5.0.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from millrace.archive.hadoop_client import JARS, environment
from millrace.errors import ConfigError, MillraceError
from millrace.logs import say
from millrace.stack.fetch import fetch

TIRPC = Path("/usr/include/tirpc")
COMPILED = ("avro-1*.jar", "commons-cli-*.jar", "guava-*.jar")  # what its Java part mentions


def main() -> None:
    """Build and install pydoop into this environment."""
    _require()
    command = ["uv", "sync", "--quiet", "--inexact", "--extra", "hdfs", "--reinstall-package", "pydoop"]
    done = subprocess.run(command, env={**os.environ, **_building()}, check=False)
    if done.returncode:
        raise MillraceError("pydoop was not built: what the compiler said stands above")
    say("pydoop is built: `millrace run archive --single-file` writes one file through it")


def _building() -> dict[str, str]:
    return environment(fetch("pydoop"), JARS + COMPILED) | {
        "CPLUS_INCLUDE_PATH": str(TIRPC),
        "LDFLAGS": "-Wl,--no-as-needed -ltirpc",
    }


def _require() -> None:
    missing = (
        []
        if sys.version_info[:2] == (3, 11)
        else [f"Python 3.11 (this is {sys.version_info[0]}.{sys.version_info[1]})"]
    )
    missing += [f"{tool} on PATH ({package})" for tool, package in _TOOLS.items() if not shutil.which(tool)]
    missing += [] if TIRPC.is_dir() else [f"{TIRPC} (libtirpc-dev)"]
    if missing:
        raise ConfigError(f"pydoop cannot be built here: there is no {', no '.join(missing)}")


_TOOLS = {"g++": "g++", "javac": "default-jdk-headless", "uv": "uv"}

if __name__ == "__main__":
    try:
        main()
    except MillraceError as error:
        sys.exit(f"millrace: {error}")
