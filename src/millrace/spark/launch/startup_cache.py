"""Locate the JDK's ahead-of-time cache, which saves seconds at each start of Spark; `recorder` builds it once."""

import hashlib
from pathlib import Path

from millrace.spark.launch.home import spark_home
from millrace.stack import java

SILENT = "-Xlog:aot*=off -Xlog:aot+codecache*=off -Xlog:cds*=off"


def path() -> Path:
    """Return the path of the cache for this Spark home; the file may not exist yet.

    A JVM refuses a cache that was built with other jars; jars are the same while size and modification time are.
    """
    home = spark_home()
    stats = [jar.stat() for jar in sorted((home / "jars").iterdir())]
    jars = hashlib.sha256(repr([(stat.st_size, stat.st_mtime_ns) for stat in stats]).encode()).hexdigest()[:8]
    return home / f"startup-{java.VERSION}-{jars}.aot"


def option() -> str:
    """Return the options with which a JVM uses the cache, "" while there is none."""
    where = path()
    return f"-XX:AOTCache={where} {SILENT}" if where.exists() else ""
