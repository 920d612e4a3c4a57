"""Tweets with case numbers while drivers, adapters and MongoDB die: in the end the documents equal the truth."""

import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.faults.test_recovery import wait_for_random_moment
from tests.proxy import Proxy, through
from tests.support import Child, Job, new_topic, now, pid_of, records, wait, window
from tests.telling import telling
from tests.tweeting import NUMBERS, Told, record, windows

from millrace import config, stack
from millrace.config import Settings
from millrace.simulate.talk import Talk
from millrace.simulate.tweets import running

RUNNING = ("--trigger", "0s", "--max-offsets", "200", "--cases", "file:nowhere.json", "--country", "Atlantis")
OWN = dict.fromkeys(NUMBERS) | {"country": "Atlantis", "as_of": "2024-04-13"}  # of which nobody knows anything


@pytest.fixture
def told() -> Told:
    return Told(Talk(count=1200, rate=3, start=window(now()) - timedelta(minutes=9)))


def sent(told: Told) -> Iterator[dict[str, Any]]:
    for line in told.lines:
        value, at = record(line, told.source)
        yield {"value": value, "timestamp_ms": at}


def plain(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return documents without the address of their numbers, which is that of the package."""
    return [{name: value for name, value in each.items() if name != "source_url"} for each in documents]


def is_right(told: Told, settings: Settings) -> bool:
    return plain(told.stored(settings)) == told.right(OWN)


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.faults) for seed in (2, 3, 4))])
def test_the_driver_is_killed_while_it_writes(
    *, seed: int, mongodb: Settings, told: Told, tmp_path: Path, begin: Callable[..., Any]
) -> None:
    draw = random.Random(seed)
    topic = new_topic(mongodb.kafka_bootstrap)
    with telling(mongodb, topic, sent(told)) as finish:
        for _ in range(2):
            job = begin(Job, "cases", mongodb, tmp_path, *RUNNING, "--topic", topic)
            job.has_read(draw.randint(1, 600))
            wait_for_random_moment(draw)
            job.kill()
        finish()
    job = begin(Job, "cases", mongodb, tmp_path, *RUNNING, "--topic", topic)
    wait(lambda: is_right(told, mongodb), "right documents", job, 120)
    assert job.stop() == 0, job.text()
    assert is_right(told, mongodb)


@pytest.mark.faults
def test_mongodb_is_killed(mongodb: Settings, told: Told, tmp_path: Path, begin: Callable[..., Any]) -> None:
    """What it had acknowledged it may lose, for the local server has no journal; the next version of a window comes."""
    topic = new_topic(mongodb.kafka_bootstrap)
    with telling(mongodb, topic, sent(told)) as finish:
        job = begin(Job, "cases", mongodb, tmp_path, *RUNNING, "--topic", topic)
        job.has_read(300)
        os.kill(pid_of("mongodb", mongodb), signal.SIGKILL)
        job.says("trying again in")
        stack.up(["mongodb"], mongodb)
        finish()
    last = told.lines[-1]["event_time"]
    wait(lambda: any(each["window_end"] > datetime.fromisoformat(last) for each in told.stored(mongodb)), "end", job)
    wait(lambda: job.state()["kafka_lag"] == 0, "lag 0", job)
    assert job.stop() == 0, job.text()
    more = ("--once", *RUNNING[2:], "--topic", topic, "--checkpoint", str(tmp_path / "again"))
    again = begin(Job, "cases", mongodb, tmp_path, *more)
    assert again.ends() == 0, again.text()
    assert is_right(told, mongodb)


@pytest.mark.faults
def test_a_job_ends_in_time_while_mongodb_is_away(
    *, mongodb: Settings, told: Told, proxy: Callable[[str, int], Proxy], tmp_path: Path, begin: Callable[..., Any]
) -> None:
    """Neither the store nor what is encoded ahead keeps SIGTERM waiting; the next start brings what was left."""
    link, detour = through(mongodb.store_url("mongodb"), proxy)
    settings = mongodb.model_copy(update={"mongodb_url": SecretStr(detour)})
    topic = new_topic(mongodb.kafka_bootstrap)
    with telling(mongodb, topic, sent(told)) as finish:
        job = begin(Job, "cases", settings, tmp_path, *RUNNING, "--topic", topic)
        job.has_read(300)
        link.cut()
        job.says("trying again in")
        assert job.stop(deadline=30) == 0, job.text()
        finish()
    link.restore()
    again = begin(Job, "cases", settings, tmp_path, *RUNNING, "--topic", topic)
    wait(lambda: is_right(told, mongodb), "right documents", again, 120)
    assert again.stop() == 0, again.text()


@pytest.mark.faults
def test_the_adapter_is_killed_and_started_again(mongodb: Settings, tmp_path: Path, begin: Callable[..., Any]) -> None:
    """Each window equals what was sent, but for those that a gap touches, which hold a part of it."""
    stack.up(["kafka"], config.load(home=tmp_path))
    settings = config.load(home=tmp_path, mongodb_url=mongodb.store_url("mongodb"))
    told = Told(Talk(count=1), "tweets")
    try:
        job = begin(Job, "cases", settings, tmp_path, *RUNNING, "--window", "1s", "--slide", "1s")
        with running(Talk(rate=100, start=now(), duplicates=0.1, malformed=0.02, empty=0.02)) as (url, generator):
            feed = ("ingest", "tweets", "--url", url, "--home", str(tmp_path))
            for run in range(1, 4):
                adapter = begin(Child, tmp_path, *feed)
                wait(lambda: job.state().get("records", 0) >= 500 * run, "tweets", job)  # noqa: B023
                adapter.kill()
            adapter = begin(Child, tmp_path, *feed, "--limit", "500")
            assert adapter.ends() == 0, adapter.text()
            _, *told.lines = generator.lines()
        wait(lambda: job.state()["kafka_lag"] == 0, "lag 0", job)
        assert job.stop() == 0, job.text()
        spans = [json.loads(each.value) for each in records(settings.kafka_bootstrap, "gaps")]
    finally:
        stack.down(settings, data=True)
    gaps = [tuple(datetime.fromisoformat(each[side]) for side in ("from", "to")) for each in spans]

    def touched(document: dict[str, Any]) -> bool:
        return any(start < document["window_end"] and document["window_start"] <= end for start, end in gaps)

    right = {each["_id"]: each | OWN for each in windows(told.lines, "tweets", seconds=1)}
    *found, last = [each for each in plain(told.stored(mongodb)) if each["_id"] in right]
    between = [each for each in right.values()
               if found[0]["window_start"] <= each["window_start"] < last["window_start"]]  # fmt: skip
    whole = [each for each in found if not touched(each)]
    assert whole == [each for each in between if not touched(each)] and len(whole) > 5
    assert all(set(each["content"]) <= set(right[each["_id"]]["content"]) for each in found)
    assert len(gaps) >= 4
