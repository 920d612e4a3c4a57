"""Change data capture while processes are killed and servers are away: what is copied equals what is there."""

import json
import os
import random
import signal
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from pyspark.sql import SparkSession
from tests import copied
from tests.capture import Capture, Copy, Records
from tests.proxy import Proxy, through
from tests.support import Job, pid_of, wait
from tests.workload import Workload

from millrace import stack
from millrace.cdc.follow import Choice


@contextmanager
def working(capture: Capture, seed: int, operations: int) -> Iterator[Workload]:
    """A workload that runs meanwhile; it is done at the end."""
    load = Workload(capture.source, f"f{uuid.uuid4().hex[:8]}", seed)
    load.create()
    failed: list[Exception] = []

    def work() -> None:
        try:
            load.run(operations)
        except Exception as error:  # noqa: BLE001 - told below
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield load
    finally:
        thread.join()
    assert not failed, failed


def copy_of(capture: Capture, spark: SparkSession, load: Workload) -> Copy:
    return Copy(capture, spark, Choice(tuple(load.names), as_text=frozenset(load.as_text)))


def in_order(records: Records) -> bool:
    """Return whether the changes of each key have the order of PostgreSQL's log by what their records say.

    A change that is sent once more may name an earlier commit before it: it stays between the same changes of its key.
    """
    found: defaultdict[tuple[str, bytes], list[tuple[int, int]]] = defaultdict(list)
    for record in records:
        if record["value"] and record["key"]:
            source = json.loads(record["value"])["source"]
            committed, place = json.loads(source["sequence"])
            found[record["topic"], record["key"]].append((int(committed or 0), int(place or source["lsn"])))
    return all([place for _, place in sorted(each)] == sorted(place for _, place in each) for each in found.values())


@pytest.mark.parametrize("kills", [1, pytest.param(5, marks=pytest.mark.faults)])
def test_connect_is_killed_and_started_again(kills: int, capture: Capture, spark: SparkSession) -> None:
    """What it sends once more stands where it stood, and no change is left out."""
    draw = random.Random(kills)
    with working(capture, seed=kills, operations=1_000 * kills) as load:
        for _ in range(kills):
            threading.Event().wait(draw.uniform(0.5, 2))  # so that it falls into any moment of its work
            os.kill(pid_of("connect", capture.settings), signal.SIGKILL)
            wait(lambda: "connect" not in running(capture), "end of Connect")
            stack.up(["connect"], capture.settings.model_copy(update={"cdc_source_url": None}))
    capture.all_sent()
    records = capture.records(load.names)
    assert in_order(records)
    copy = copy_of(capture, spark, load)
    copy.take(draw.sample(records, len(records)))
    assert (copy.differences(), copy.letters) == ({}, [])


@pytest.mark.faults
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_many_operations(seed: int, capture: Capture, spark: SparkSession) -> None:
    """In order, then all of them once more, shuffled within and between partitions; with old rows whole or not."""
    load = Workload(capture.source, f"f{uuid.uuid4().hex[:8]}", seed, full=seed % 2 == 1)
    load.create()
    load.run(20_000)
    records = capture.records(load.names)
    first, second = copy_of(capture, spark, load), copy_of(capture, spark, load)
    mixed = random.Random(seed).sample(records, len(records))
    first.take(*parts(records))
    assert (first.differences(), first.letters) == ({}, [])
    second.take(*parts(mixed))
    first.take(*parts(mixed))
    for copy in (first, second):
        assert (copy.differences(), copy.letters) == ({}, [])
    capture.execute(f"DROP SCHEMA {load.schema} CASCADE")


def parts(records: Records, size: int = 5_000) -> Iterator[Records]:
    for start in range(0, len(records), size):
        yield records[start : start + size]


@dataclass
class Running:
    """The job that copies a workload through `link` into a database of its own; `begin` starts it, once more too."""

    load: Workload
    url: str
    link: Proxy
    begin: Callable[[], Job]

    def differences(self) -> list[str]:
        """Return what ClickHouse holds otherwise than PostgreSQL."""
        found = []
        with clickhouse_connect.get_client(dsn=self.url) as client:
            for table in self.load.tables:
                view, key = f"`{table.name.replace('.', '_')}`", list(table.key)
                ours = copied.rows(self.load.url, table.name, key)
                found += copied.differences(ours, copied.copied(client, view, key))
        return found


@pytest.fixture
def job(
    capture: Capture, tmp_path: Path, begin: Callable[..., Any], proxy: Callable[[str, int], Proxy]
) -> Callable[[Workload], Running]:
    """Return what starts the job on a workload."""

    def start(load: Workload) -> Running:
        url = capture.database()
        link, detour = through(url, proxy)
        options = [
            "--tables",
            ",".join(load.names),
            "--prefix",
            capture.name,
            "--trigger",
            "0s",
            "--max-offsets",
            "500",
        ]
        options += [word for column in load.as_text for word in ("--as-text", column)]
        env = {"MILLRACE_CLICKHOUSE_URL": detour, "MILLRACE_CDC_SOURCE_URL": capture.settings.cdc_source or ""}
        return Running(load, url, link, lambda: begin(Job, "cdc", capture.settings, tmp_path, *options, **env))

    return start


@pytest.mark.faults
def test_the_driver_is_killed_before_inside_and_after_a_write(
    capture: Capture, job: Callable[[Workload], Running]
) -> None:
    """What ClickHouse was told is told once more: nothing is there twice, nothing lacks."""
    with working(capture, seed=7, operations=3_000) as load:
        run = job(load)
        ends: list[Callable[[], None]] = [run.link.cut, run.link.hang, lambda: setattr(run.link, "delay", 60.0)]
        for end in ends:
            started = run.begin()
            started.has_read(200)
            end()
            threading.Event().wait(1)  # a batch gets as far as it can
            started.kill()
            run.link.cut()
            run.link.delay = 0.0
            run.link.restore()
    capture.all_arrived()
    started = run.begin()
    wait(lambda: started.state() and not run.differences(), "equal rows", started, 180)
    assert started.stop() == 0, started.text()
    assert run.differences() == []


@pytest.mark.parametrize("seconds", [10, pytest.param(60, marks=pytest.mark.faults)])
def test_clickhouse_is_away(seconds: int, capture: Capture, job: Callable[[Workload], Running]) -> None:
    """The job waits, and all of it comes after."""
    with working(capture, seed=8, operations=1_000) as load:
        run = job(load)
        started = run.begin()
        started.has_read(100)
        run.link.cut()
        threading.Event().wait(seconds)  # the outage itself
        assert started.process.poll() is None
        run.link.restore()
    capture.all_arrived()
    wait(lambda: not run.differences(), "equal rows", started, 180)
    assert started.stop() == 0, started.text()


def running(capture: Capture) -> list[str]:
    return [line.name for line in stack.status(capture.settings) if line.pid]
