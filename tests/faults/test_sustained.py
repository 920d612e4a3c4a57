"""Ten times the live rate for minutes and for hours: exact, and flat in memory and files."""

import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support import Child, Counts, Job, now, pid_of, sqlite, stored, wait

from millrace import config, stack
from millrace.simulate import bluesky as double
from millrace.simulate.scenario import Scenario
from millrace.simulate.truth import truth

POSTS = 500  # a second: the live service has about 50
SHARE = 0.82  # of the simulated events are posts; the rest is likes and such, which the server keeps back
LOOK = 10  # seconds between two looks at memory and files
GROWTH = 0.25  # of memory and state after the first third that may still be added
FILES = 600  # in the checkpoint; about 8 a batch, of which Spark keeps 20 batches and what waits for removal


@pytest.mark.faults
def test_ten_minutes(tmp_path: Path, begin: Callable[..., Any]) -> None:
    sustain(600, tmp_path, begin)


@pytest.mark.soak
def test_two_hours(tmp_path: Path, begin: Callable[..., Any]) -> None:
    sustain(7200, tmp_path, begin)


def sustain(seconds: int, home: Path, begin: Callable[..., Any]) -> None:
    stack.up(["kafka"], config.load(home=home))
    settings = config.load(home=home)
    rate = POSTS / SHARE
    scenario = Scenario(count=round(rate * seconds), rate=rate, start=now(), duplicates=0.05, malformed=0.005)
    try:
        with double.running(scenario) as url:
            adapter = begin(Child, home, "ingest", "bluesky", "--url", url, "--from-cursor", "1", "--home", str(home))
            job = begin(Job, "hashtags", settings, home, "--trigger", "5s", "--lateness", "2m")
            processes = {"job": job, "adapter": adapter, "broker": pid_of("kafka", settings)}
            sizes = watch(seconds, processes, home)
            lines = truth(scenario)
            posts = next(iter(lines))["posts"]
            right = Counts({(datetime.fromisoformat(x["window_start"]), x["hashtag"]): x["posts"] for x in lines})
            job.has_read(posts, 120)
            wait(lambda: job.state()["kafka_lag"] == 0, "lag 0", job, 60)
            wait(lambda: stored(sqlite(home)) == right, "right table", job, 60)
            assert job.state()["records"] == posts
            assert adapter.stop() == 0 and job.stop() == 0
    finally:
        stack.down(settings, data=True)
    report(sizes)
    assert max(sizes.pop("checkpoint files")) < FILES
    for name, values in sizes.items():
        third = len(values) // 3
        early, late = max(values[third : 2 * third]), max(values[2 * third :])
        assert late < early * (1 + GROWTH), f"{name} grew from {early} to {late}"


def watch(seconds: float, processes: dict[str, Any], home: Path) -> dict[str, list[int]]:
    """Look at resident memory (MB) and checkpoint files until the time is up; both children must live."""
    sizes: dict[str, list[int]] = {name: [] for name in (*processes, "checkpoint files", "state rows")}
    end, clock = time.monotonic() + seconds, threading.Event()
    while time.monotonic() < end:
        clock.wait(LOOK)
        for name, process in processes.items():
            if isinstance(process, Child):
                assert process.process.poll() is None, process.text()[-3000:]
                sizes[name].append(process.memory() >> 20)
            else:
                sizes[name].append(psutil.Process(process).memory_info().rss >> 20)
        sizes["checkpoint files"].append(sum(1 for _ in (home / "checkpoints").rglob("*")))
        sizes["state rows"].append(processes["job"].state().get("state_rows", 0))
    return sizes


def report(sizes: dict[str, list[int]]) -> None:
    for name, values in sizes.items():
        marks = [values[round(part * (len(values) - 1) / 4)] for part in range(5)]
        print(f"{name}: " + ", ".join(map(str, marks)) + ("" if " " in name else " MB"))
