"""The adapter of tweets as a process: from the generator or a file into Kafka, each once, through drops and kills."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support import Child, wait
from tests.trading import Committed, committed_from_now

from millrace.config import Settings
from millrace.simulate.talk import WIRES, Talk, Tweets
from millrace.simulate.tweets import Generator, archive, running

FAULTS = {"malformed": 0.03, "empty": 0.02, "late": 0.05, "duplicates": 0.1, "bursts": 0.2}
SECOND = 1_000_000


@pytest.fixture
def committed(kafka: Settings) -> Iterator[Committed]:
    with committed_from_now(kafka, "tweets", "tweets") as found:
        yield found


@pytest.fixture
def adapter(kafka: Settings, tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """Start adapters that do not outlive the test."""
    started: list[Child] = []

    def start(*options: str) -> Child:
        place = ["--bootstrap", kafka.kafka_bootstrap, "--home", str(kafka.home)]
        started.append(Child(tmp_path, "ingest", "tweets", *place, *options))
        return started[-1]

    yield start
    for each in started:
        each.kill()


def posts(committed: Committed) -> dict[str, dict[str, Any]]:
    """Return the posts by id, each of which is there once."""
    records = committed.records()
    found = [json.loads(each.value) for each in records]
    assert not [name for name, count in Counter(post["id"] for post in found).items() if count > 1]
    for record, post in zip(records, found, strict=True):
        assert record.key.decode() == dict(record.headers)["event_id"].decode() == post["id"] == post["event_id"]
        assert record.timestamp == round(datetime.fromisoformat(post["event_time"]).timestamp() * 1000)
    return {post["id"]: post for post in found}


def is_right(post: dict[str, Any], line: dict[str, Any], text: str = "text") -> bool:
    same = all(post[name] == line[name] for name in ("event_time", "language"))
    return same and post["text"] == line[text] and sorted(post["hashtags"]) == line["hashtags"]


def uncovered(generator: Generator, committed: Committed) -> list[str]:
    """Return what is missing in no gap, up to the last tweet that is there; something is missing."""
    found, (_, *lines) = posts(committed), generator.lines()
    assert all(is_right(found[line["id"]], line) for line in lines if line["id"] in found)
    last = max(datetime.fromisoformat(post["event_time"]) for post in found.values())
    missing = [line for line in lines if line["id"] not in found]
    assert missing
    times = {line["id"]: round(datetime.fromisoformat(line["event_time"]).timestamp() * SECOND) for line in missing}
    return [
        name
        for name, moment in times.items()
        if moment <= last.timestamp() * SECOND and not any(begin <= moment <= end for begin, end in committed.spans())
    ]


@pytest.mark.parametrize("wire", WIRES)
def test_every_tweet_that_was_sent_once(wire, committed, adapter, tmp_path) -> None:
    talk, told = Talk(count=3000, speed=0, wire=wire, **FAULTS), tmp_path / "told"
    with running(talk, told) as (url, generator):
        child = adapter("--url", url, "--strip-links", "--strip-mentions")
        wait(told.exists, "whole talk", child)
        summary, *lines = generator.lines()
        wait(lambda: len(committed.records()) >= summary["tweets"], "tweets", child)
        assert child.stop() == 0, child.text()
    assert summary["sent_tweets"] == summary["tweets"] and summary["late"] > 100
    found = posts(committed)
    assert found.keys() == {line["id"] for line in lines}
    assert all(is_right(found[line["id"]], line, "bare") for line in lines)
    tweets = Tweets(talk)
    bad = [index for index in range(3000) if tweets.at(index).broken is not None or not tweets.at(index).text]
    letters = committed.letters()
    assert len(letters) == sum(1 + tweets.copies(index) for index in bad) > 100
    assert {(letter["topic"], letter["offset"]) for letter in letters} == {("tweets", None)}
    assert sum("empty after cleaning" in letter["reason"] for letter in letters) > 40
    assert len(committed.gaps()) == 1


def test_connections_that_are_dropped(committed, adapter) -> None:
    with running(Talk(rate=300, drop_every=200, malformed=0.02)) as (url, generator):
        child = adapter("--url", url)
        wait(lambda: len(committed.gaps()) > 3, "gaps", child)
        assert child.stop() == 0, child.text()
        assert uncovered(generator, committed) == []


def test_an_adapter_that_is_killed_and_started_again(committed, adapter) -> None:
    with running(Talk(rate=300, duplicates=0.1)) as (url, generator):
        for _ in range(3):
            before = len(committed.records())
            child = adapter("--url", url)
            wait(lambda before=before: len(committed.records()) > before + 300, "tweets", child)
            child.kill()
        child = adapter("--url", url, "--limit", "100")
        assert child.ends() == 0, child.text()
        assert uncovered(generator, committed) == []
    assert len(committed.gaps()) == 4


def written(folder: Path, talk: Talk) -> str:
    path = folder / "tweets.jsonl"
    path.write_bytes(b"\n".join(archive(talk)))
    return str(path)


def of_old(count: int, **faults: Any) -> Talk:
    """Tweets of 2018, other ones in each run."""
    start = datetime(2018, 10, 10, tzinfo=UTC) + timedelta(milliseconds=time.time_ns() // 1_000_000 % 10**9)
    return Talk(count=count, rate=1000, start=start, wire="v1", **faults)


def test_a_file_that_is_fed_again_and_again(committed, adapter, tmp_path) -> None:
    talk = of_old(30_000, **FAULTS)
    path, (_, *lines) = written(tmp_path, talk), Generator(talk).lines()
    child = adapter("--file", path)
    wait(committed.records, "tweets", child)
    child.kill()
    child = adapter("--file", path)
    wait(lambda: len(committed.records()) > 6000, "more tweets", child)
    assert child.stop() == 0
    assert "stopped: " in child.text()
    before = len(committed.records())
    assert 0 < before < len(lines)
    child = adapter("--file", path)
    assert child.ends() == 0
    assert f"done: {len(lines) - before} tweets, " in child.text(), child.text()
    child = adapter("--file", path)
    assert child.ends() == 0
    assert "done: 0 tweets, " in child.text()
    found = posts(committed)
    assert found.keys() == {line["id"] for line in lines}
    assert all(is_right(found[line["id"]], line) for line in lines)


def test_the_newer_of_two_files_takes_over(committed, adapter, tmp_path) -> None:
    talk = of_old(20_000)
    path = written(tmp_path, talk)
    older = adapter("--file", path)
    wait(committed.records, "tweets", older)
    newer = adapter("--file", path)
    assert older.ends() == 1
    assert "another copy of this feed has taken over" in older.text()
    assert newer.ends() == 0, newer.text()
    assert len(posts(committed)) == 20_000


def test_the_file_of_a_feed_that_is_in_kafka(committed, adapter, tmp_path) -> None:
    """The adapter of the feed and that of the file go on side by side."""
    talk = Talk(count=500, speed=0)
    with running(talk) as (url, _):
        live = adapter("--url", url)
        wait(lambda: len(committed.records()) == 500, "tweets", live)
        child = adapter("--file", written(tmp_path, Talk(count=500, speed=0, start=_start(talk))))
        assert child.ends() == 0
        assert "done: 0 tweets, 500 that were there" in child.text()
        assert live.stop() == 0, live.text()
    assert len(posts(committed)) == 500


def _start(talk: Talk) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=talk.start_us)


def test_a_file_is_printed_without_kafka(tmp_path) -> None:
    path = written(tmp_path, of_old(100))
    child = Child(tmp_path, "ingest", "tweets", "--file", path, "--print", "--limit", "60", "--strip-links")
    assert child.ends() == 0, child.text()
    found = [json.loads(line) for line in child.out.read_text().splitlines()]
    assert len(found) == 60 and not any("https://" in post["text"] for post in found)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--file", "nowhere.jsonl"], "nowhere.jsonl cannot be read: No such file"),
        (["--file", "x", "--url", "ws://localhost:5555"], "choose one"),
        (["--file", "x", "--seconds", "3"], "--file is read once"),
        (["--url", "http://localhost:5555"], "MILLRACE_TWEETS_URL: expected ws://"),
    ],
)
def test_what_cannot_be_done_is_said(options, words, tmp_path) -> None:
    child = Child(tmp_path, "ingest", "tweets", "--print", *options)
    assert child.ends() == 2
    assert words in child.text() and "Traceback" not in child.text()


def test_the_generator_as_a_command(committed, adapter, tmp_path) -> None:
    truth = tmp_path / "truth.jsonl"
    double = Child(tmp_path, "simulate", "tweets", "--port", "0", "--count", "300", "--speed", "0", "--late", "0.1",
                   "--truth", str(truth))  # fmt: skip
    try:
        double.says("ready ws://")
        url = double.text().partition("ready ")[2].split()[0]
        assert adapter("--url", url, "--limit", "300").ends() == 0
        assert double.stop() == 0
    finally:
        double.kill()
    _, *lines = map(json.loads, truth.read_text().splitlines())
    found = posts(committed)
    assert found.keys() == {line["id"] for line in lines if line["sent"]} and len(found) == 300
    assert all(is_right(found[line["id"]], line) for line in lines)
