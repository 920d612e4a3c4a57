"""What the archive survives: killed drivers, lost checkpoints, HDFS gone and full, a second writer."""

import os
import random
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from tests.live.test_archiving import values
from tests.support import Job, new_topic, pid_of, records, send, skip_without_pydoop, wait

from millrace import config, stack
from millrace.archive import census, compact, files
from millrace.archive.files import Files
from millrace.config import Settings
from millrace.stack.hdfs import DATANODE, NAMENODE

RUNNING = ("--trigger", "0s", "--max-offsets", "200")
BEGIN = 1_790_000_000_000
HOUR = 3_600_000
layouts = pytest.mark.parametrize("layout", [[], ["--single-file"]], ids=["jsonl", "single_file"])

pytestmark = pytest.mark.faults  # what a crash leaves, at each step of a write, is in tests/live/test_archive.py


def made(number: int, count: int) -> list[tuple[bytes | None, int]]:
    """Return values that differ, over three hours."""
    return [(f"{number} {n}".encode(), BEGIN + n * 3 * HOUR // count) for n in range(count)]


def right(bootstrap: str, topic: str) -> Counter[bytes]:
    return Counter(record.value for record in records(bootstrap, topic))


@layouts
def test_the_driver_is_killed_and_its_checkpoint_lost(
    kafka: Settings, archive: Files, tmp_path: Path, begin: Callable[..., Any], layout: list[str]
) -> None:
    """Before, inside and after a write, wherever the moment falls; the second kill takes the checkpoint along."""
    draw, topic = random.Random(7), new_topic(kafka.kafka_bootstrap)
    for number in range(2):
        send(kafka.kafka_bootstrap, topic, made(number, 1500))
        job = begin(Job, "archive", kafka, tmp_path, *RUNNING, "--topic", topic, *layout)
        job.has_read(draw.randint(1, 1200))
        threading.Event().wait(draw.uniform(0, 1.5))  # so that the kill falls anywhere
        job.kill()
        if number:
            shutil.rmtree(tmp_path / "checkpoints")
    job = begin(Job, "archive", kafka, tmp_path, "--once", "--topic", topic, *layout)
    assert job.ends(240) == 0, job.text()
    assert Counter(values(archive, topic, bool(layout))) == right(kafka.kafka_bootstrap, topic)
    if not layout:
        compact.compact(archive)
        assert census.verify(archive) == []
        assert Counter(values(archive, topic, False)) == right(kafka.kafka_bootstrap, topic)


@layouts
def test_a_second_writer_ends(
    kafka: Settings, archive: Files, tmp_path: Path, begin: Callable[..., Any], layout: list[str]
) -> None:
    topic = new_topic(kafka.kafka_bootstrap)
    send(kafka.kafka_bootstrap, topic, made(0, 300))
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first = begin(Job, "archive", kafka, tmp_path / "first", *RUNNING, "--topic", topic, *layout)
    first.has_read(300)
    second = begin(Job, "archive", kafka, tmp_path / "second", *RUNNING, "--topic", topic, *layout)
    assert second.ends(120) == 1
    assert "another writer is at work" in second.text() and "Traceback" not in second.text()
    send(kafka.kafka_bootstrap, topic, made(1, 300))
    first.has_read(600)
    assert first.stop() == 0, first.text()
    assert Counter(values(archive, topic, bool(layout))) == right(kafka.kafka_bootstrap, topic)


@pytest.fixture
def own_hdfs(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Settings, Files]]:
    """An HDFS that a test may stop, and its archive."""
    skip_without_pydoop(request)
    home = tmp_path / "hdfs"
    stack.up(["hdfs"], config.load(home=home))
    settings = config.load(home=home)
    monkeypatch.setenv("MILLRACE_ARCHIVE_URL", settings.archive)
    monkeypatch.setenv("MILLRACE_WEBHDFS_URL", str(settings.webhdfs_url))
    try:
        yield settings, files.of(settings)
    finally:
        stack.down(config.load(home=home), data=True)


@layouts
def test_namenode_and_datanode_are_killed(
    kafka: Settings, own_hdfs: tuple[Settings, Files], tmp_path: Path, begin: Callable[..., Any], layout: list[str]
) -> None:
    settings, archive = own_hdfs
    topic = new_topic(kafka.kafka_bootstrap)
    send(kafka.kafka_bootstrap, topic, made(0, 600))
    job = begin(Job, "archive", kafka, tmp_path, *RUNNING, "--topic", topic, *layout)
    job.has_read(200)
    os.kill(pid_of("hdfs", settings), signal.SIGKILL)
    send(kafka.kafka_bootstrap, topic, made(1, 600))
    job.says("trying again", 180)
    stack.up(["hdfs"], settings)
    wait(lambda: job.state().get("kafka_lag") == 0, "lag 0", job, 240)
    assert job.stop(deadline=60) == 0, job.text()
    assert Counter(values(archive, topic, bool(layout))) == right(kafka.kafka_bootstrap, topic)
    assert census.verify(archive) == []


@layouts
@pytest.mark.parametrize("node", [NAMENODE, DATANODE], ids=["namenode", "datanode"])
def test_one_node_of_hdfs_is_killed(
    *,
    kafka: Settings,
    own_hdfs: tuple[Settings, Files],
    tmp_path: Path,
    begin: Callable[..., Any],
    layout: list[str],
    node: str,
) -> None:
    """The other one goes on, and is there still when the first is back."""
    settings, archive = own_hdfs
    topic = new_topic(kafka.kafka_bootstrap)
    send(kafka.kafka_bootstrap, topic, made(0, 600))
    job = begin(Job, "archive", kafka, tmp_path, *RUNNING, "--topic", topic, *layout)
    job.has_read(200)
    holder = psutil.Process(pid_of("hdfs", settings))
    [victim, other] = sorted(holder.children(), key=lambda each: node not in each.cmdline())
    holder.suspend()  # it would start the node again before anybody missed it
    victim.kill()
    send(kafka.kafka_bootstrap, topic, made(1, 600))
    job.says("trying again", 180)
    holder.resume()
    stack.up(["hdfs"], settings)
    wait(lambda: job.state().get("kafka_lag") == 0, "lag 0", job, 240)
    assert job.stop(deadline=60) == 0, job.text()
    assert other.is_running() and other in holder.children() and len(holder.children()) == 2
    assert Counter(values(archive, topic, bool(layout))) == right(kafka.kafka_bootstrap, topic)
    assert census.verify(archive) == []


@layouts
def test_hdfs_is_full(
    kafka: Settings, own_hdfs: tuple[Settings, Files], tmp_path: Path, begin: Callable[..., Any], layout: list[str]
) -> None:
    """A space quota: the job stops loudly, no half file is read, and it goes on when there is room."""
    settings, archive = own_hdfs
    topic = new_topic(kafka.kafka_bootstrap)
    send(kafka.kafka_bootstrap, topic, made(0, 300))
    first = begin(Job, "archive", kafka, tmp_path, "--once", "--topic", topic, *layout)
    assert first.ends(240) == 0, first.text()
    before = Counter(values(archive, topic, bool(layout)))
    send(kafka.kafka_bootstrap, topic, made(1, 300))
    quota(settings, 1_000_000)
    stopped = begin(Job, "archive", kafka, tmp_path, "--once", "--topic", topic, *layout)
    assert stopped.ends(240) == 1
    assert "is full" in stopped.text() and "make room" in stopped.text()
    assert Counter(values(archive, topic, bool(layout)))[b"0 0"] == 1 if layout else True
    if not layout:
        assert Counter(values(archive, topic, False)) == before
    quota(settings, -1)
    again = begin(Job, "archive", kafka, tmp_path, "--once", "--topic", topic, *layout)
    assert again.ends(240) == 0, again.text()
    assert Counter(values(archive, topic, bool(layout))) == right(kafka.kafka_bootstrap, topic)


def quota(settings: Settings, size: int) -> None:
    """Let the archive take so many bytes; -1: any number."""
    asked = {"op": "SETQUOTA", "storagespacequota": str(size), "namespacequota": str(2**63 - 1), "user.name": "root"}
    answer = requests.put(f"{settings.webhdfs_url}/webhdfs/v1/millrace", params=asked, timeout=30)
    assert answer.ok, answer.text
