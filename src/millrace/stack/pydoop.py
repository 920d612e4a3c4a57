"""Build pydoop, which writes the single file of the archive: `python -m millrace.stack.pydoop` (`make pydoop`).

It needs Python 3.11, a C++ compiler and libtirpc-dev. Its Java part calls a method that later Hadoops lack, so it is
built against 3.3.6; it runs with pyspark's own client of 3.5.0.
"""

import importlib
import os
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from millrace.errors import ConfigError, MillraceError
from millrace.stack import java
from millrace.stack.fetch import cache, fetch
from millrace.stack.progress import say

TIRPC = Path("/usr/include/tirpc")
CLIENT = ("hadoop-client-*.jar", "slf4j-api*.jar", "jcl-over-slf4j*.jar", "log4j*.jar", "commons-logging*.jar")
COMPILED = ("avro-1*.jar", "commons-cli-*.jar", "guava-*.jar")  # what its Java part mentions
PROGRAM = """#!/bin/sh
[ "$1" = classpath ] && echo "$PYDOOP_CLASSPATH"
"""


def main() -> None:
    """Build and install pydoop into this environment."""
    _require()
    command = ["uv", "sync", "--quiet", "--inexact", "--extra", "hdfs", "--reinstall-package", "pydoop"]
    done = subprocess.run(command, env={**os.environ, **_building()}, check=False)
    if done.returncode:
        raise MillraceError("pydoop was not built: what the compiler said stands above")
    say("pydoop is built: `millrace run archive --single-file` writes one file through it")


def environment() -> dict[str, str]:
    """Return the variables with which pydoop finds a Hadoop client and a Java."""
    program = cache() / "pydoop" / "bin" / "hadoop"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(PROGRAM)
        program.chmod(0o755)
    return {
        "JAVA_HOME": str(java.binary().parent.parent),
        "HADOOP_HOME": str(program.parent.parent),
        "HADOOP_CONF_DIR": str(program.parent),
        "LIBHDFS_OPTS": "-Xrs -Xmx128m -Dlog4j2.level=ERROR",  # its Java leaves signals to Python
        "PYDOOP_CLASSPATH": os.pathsep.join(_jars(CLIENT)),
        "PATH": f"{program.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


def client() -> Any:
    """Return the module pydoop.hdfs, ready for use; raises ConfigError where pydoop is not built."""
    os.environ.update(environment())
    try:
        return importlib.import_module("pydoop.hdfs")
    except ImportError:
        raise ConfigError("pydoop is not built: `make pydoop` builds it, on Python 3.11 only") from None


def _building() -> dict[str, str]:
    client = environment()
    old = [str(jar) for jar in fetch("pydoop")]
    return client | {
        "PYDOOP_CLASSPATH": os.pathsep.join([*old, *_jars(CLIENT + COMPILED)]),
        "CPLUS_INCLUDE_PATH": str(TIRPC),
        "LDFLAGS": "-Wl,--no-as-needed -ltirpc",
    }


def _jars(patterns: tuple[str, ...]) -> list[str]:
    folder = Path(str(distribution("pyspark").locate_file("pyspark/jars")))  # spark-submit imports it from a zip
    return [str(jar) for pattern in patterns for jar in sorted(folder.glob(pattern))]


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
