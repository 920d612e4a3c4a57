"""The machine that figures were measured on, in one line: they mean nothing without it."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from millrace.stack import java


def describe() -> dict[str, str]:
    """Return processor, cores, memory, kernel, the versions that matter, load and date."""
    return {
        "cpu": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "spark": version("pyspark"),
        "java": _java(),
        "load": f"{os.getloadavg()[0]:.1f}",  # before the run: what else the machine did
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def line() -> str:
    """Return `describe()` as one line."""
    return ", ".join(f"{name} {value}" for name, value in describe().items())


def _processor() -> str:
    for text in Path("/proc/cpuinfo").read_text().splitlines():
        if text.startswith("model name"):
            return text.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _java() -> str:
    told = subprocess.run([java.binary(), "-version"], capture_output=True, text=True, check=True).stderr
    return told.partition('"')[2].partition('"')[0]
