"""From the start of `millrace run hashtags` to its first committed batch, and of the demo to its first counts.

The job with and without the JDK's start-up cache; the demo with it, downloads there, and a broker to be started.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks import fill, mill
from benchmarks.report import Figure
from millrace.config import Settings
from millrace.spark.launch import recorder

NAME = "start"
GOAL = 8.0  # seconds
DEMO, DEMO_GOAL = "demo", 60.0
WITHOUT = {"JAVA_TOOL_OPTIONS": "-XX:AOTMode=off"}


def measure(rounds: int = 3) -> Iterator[Figure]:
    """Yield the median seconds of `rounds` starts each way, in turn."""
    with mill.servers("kafka") as settings:
        topic = mill.topic(settings, "posts", 3)
        fill.fill(settings.kafka_bootstrap, topic, 3, 1_000)
        recorder.build(settings.kafka_bootstrap, topic)
        found: dict[str, list[float]] = {"with": [], "without": []}
        with fill.bar("starts of the hashtag job", 2 * rounds) as progress:
            for number in range(2 * rounds):
                way = ("with", "without")[number % 2]
                found[way].append(start(settings, topic, WITHOUT if way == "without" else {}))
                progress.advance(progress.task_ids[0])
        shown = demo(settings.home / DEMO)
    seconds = median(found["with"])
    yield Figure(NAME, "to the first batch, with the cache", seconds, "s", f"<= {GOAL:g}", seconds <= GOAL)
    yield Figure(NAME, "to the first batch, without", median(found["without"]), "s")
    yield Figure(NAME, "`millrace demo` to its first counts", shown, "s", f"<= {DEMO_GOAL:g}", shown <= DEMO_GOAL)


def start(settings: Settings, topic: str, env: dict[str, str]) -> float:
    """Return the seconds until the first batch of a fresh run was committed; the run is stopped then."""
    checkpoint, log = settings.home / "checkpoints" / NAME, settings.home / "logs" / f"{NAME}.log"
    shutil.rmtree(checkpoint, ignore_errors=True)
    (settings.home / "run" / f"{NAME}.json").unlink(missing_ok=True)
    options = ["--name", NAME, "--topic", topic, "--checkpoint", checkpoint]
    command = mill.millrace("run", "hashtags", *options)
    began = time.monotonic()
    with mill.process(command, log, env) as job:
        mill.wait_for(job, log, lambda: mill.progress(settings, NAME).get("batch_id"))
        return time.monotonic() - began


def demo(home: Path) -> float:
    """Return the seconds until the demo has counted anything, from its simulator and with a broker of its own."""
    log = home / f"{DEMO}.log"
    command = mill.millrace("demo", "--source", "simulator", "--home", home)
    began = time.monotonic()
    with mill.process(command, log) as shown:
        mill.wait_for(shown, log, lambda: "first counts of" in log.read_text() or None)
        return time.monotonic() - began
