"""kill -9 while everything runs: nothing lost, nothing counted twice, no hand lent."""

import json
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support import (
    Child,
    Counts,
    Job,
    Posts,
    fill,
    new_topic,
    now,
    pid_of,
    producer,
    records,
    sqlite,
    stored,
    wait,
    window,
)  # fmt: skip

from millrace import config, stack
from millrace.config import Settings
from millrace.simulate import bluesky as double
from millrace.simulate.scenario import Scenario
from millrace.simulate.truth import truth

RUNNING = ("--trigger", "0s", "--max-offsets", "1000")
SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.faults) for seed in (2, 3, 4, 5))]


@contextmanager
def feeding(settings: Settings, topic: str, posts: Posts, per_second: int = 80) -> Iterator[Callable[[], None]]:
    """Write posts all the while; the function given stops that and returns when all are stored."""
    over = threading.Event()

    def work() -> None:
        with producer(settings.kafka_bootstrap) as writer:
            while not over.wait(0.1):
                for value, at in posts.take(per_second // 10):
                    writer.send(topic, value, timestamp_ms=at)
            writer.flush()

    thread = threading.Thread(target=work)
    thread.start()

    def stop() -> None:
        over.set()
        thread.join()

    try:
        yield stop
    finally:
        stop()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_driver_is_killed_at_random_points(
    seed: int, kafka: Settings, tmp_path: Path, begin: Callable[..., Any]
) -> None:
    draw = random.Random(seed)
    topic = new_topic(kafka.kafka_bootstrap)
    posts = Posts(window(now()) - timedelta(minutes=9), seed, per_second=50)
    with feeding(kafka, topic, posts) as stop:
        for _ in range(2):
            job = begin(Job, "hashtags", kafka, tmp_path, *RUNNING, "--topic", topic)
            job.has_read(draw.randint(1, 1500))
            wait_for_random_moment(draw)
            job.kill()
        stop()
    job = begin(Job, "hashtags", kafka, tmp_path, *RUNNING, "--topic", topic)
    wait(lambda: stored(sqlite(tmp_path)) == posts.right, "right table", job, 120)
    assert job.stop() == 0, job.text()
    assert stored(sqlite(tmp_path)) == posts.right


def wait_for_random_moment(draw: random.Random) -> None:
    """So that the kill falls before, into and after a write."""
    threading.Event().wait(draw.uniform(0, 1.5))


def test_the_broker_is_killed_under_adapter_and_job(tmp_path: Path, begin: Callable[..., Any]) -> None:
    outage(tmp_path, begin, killed)


@pytest.mark.faults
def test_the_broker_is_restarted(tmp_path: Path, begin: Callable[..., Any]) -> None:
    outage(tmp_path, begin, stopped)


@pytest.mark.faults
def test_the_broker_is_away_for_five_minutes(tmp_path: Path, begin: Callable[..., Any]) -> None:
    outage(tmp_path, begin, killed, seconds=300)


@pytest.mark.faults
def test_a_full_disk_under_the_broker(
    tmp_path: Path, small_disk: Callable[[str], Path], begin: Callable[..., Any]
) -> None:
    """The broker stops when it cannot write; once there is space, it and all others go on by themselves."""
    disk = small_disk("64m")
    (tmp_path / "data").symlink_to(disk)
    outage(tmp_path, begin, lambda settings: full(disk, settings))


@contextmanager
def killed(settings: Settings) -> Iterator[None]:
    """The broker is gone."""
    os.kill(pid_of("kafka", settings), signal.SIGKILL)
    yield


@contextmanager
def stopped(settings: Settings) -> Iterator[None]:
    """The broker was asked to end, and has; it comes back on its port, also where that is not the usual one."""
    broker = psutil.Process(pid_of("kafka", settings))
    broker.terminate()
    broker.wait(60)
    yield


@contextmanager
def full(disk: Path, settings: Settings) -> Iterator[None]:
    """The broker has ended because its disk is full, which it no longer is afterwards."""
    broker = psutil.Process(pid_of("kafka", settings))
    fill(disk / "filler")
    broker.wait(60)
    yield
    (disk / "filler").unlink()


def outage(
    home: Path, begin: Callable[..., Any], fault: Callable[[Settings], AbstractContextManager[None]], seconds: float = 0
) -> None:
    stack.up(["kafka"], config.load(home=home))
    settings = config.load(home=home)
    try:
        job = begin(Job, "hashtags", settings, home, "--trigger", "0s", "--sink", "sqlite", "--sink", "kafka")
        job.says("Spark UI")  # so that posts still come when the fault does
        scenario = Scenario(count=5000, rate=160, speed=1, start=now(), duplicates=0.1, malformed=0.01, tagged=0.6)
        right = Counts(
            {
                (datetime.fromisoformat(line["window_start"]), line["hashtag"]): line["posts"]
                for line in truth(scenario)
                if "hashtag" in line
            }
        )
        with double.running(scenario) as url:
            adapter = begin(Child, home, "ingest", "bluesky", "--url", url, "--from-cursor", "1", "--home", str(home))
            job.has_read(300)
            with fault(settings):
                adapter.says("next attempt in")
                stay_away(seconds, adapter, job)
            stack.up(["kafka"], settings)
            wait(lambda: stored(sqlite(home)) == right, "right table", job, 120)
            wait(lambda: job.state()["kafka_lag"] == 0, "lag 0", job, 60)
            wait(lambda: published(settings) == right, "right topic", job, 60)
            assert adapter.process.poll() is None
            ids = [record.key for record in records(settings.kafka_bootstrap, "bluesky-raw-posts")]
            assert len(ids) == next(iter(truth(scenario)))["posts"]
            assert job.stop() == 0, job.text()
            assert adapter.stop() == 0, adapter.text()
    finally:
        stack.down(settings, data=True)


def published(settings: Settings) -> Counts:
    """Return what the topic hashtag-counts says last of each key."""
    newest = {record.key: json.loads(record.value) for record in records(settings.kafka_bootstrap, "hashtag-counts")}
    rows = newest.values()
    return Counts({(datetime.fromisoformat(row["window_start"]), row["hashtag"]): row["posts"] for row in rows})


def stay_away(seconds: float, *children: Child) -> None:
    """The outage itself; both must live through it."""
    threading.Event().wait(seconds)
    assert all(child.process.poll() is None for child in children), [child.text()[-3000:] for child in children]
