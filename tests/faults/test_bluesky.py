"""The Bluesky adapter as a process: from its double or from recorded frames into Kafka, through every fault."""

import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from tests.support import serving

from millrace import config, stack
from millrace.config import Settings
from millrace.ingest import producer
from millrace.ingest.bluesky.feed import feed
from millrace.ingest.bluesky.posts import parse
from millrace.ingest.committed import last_cursor
from millrace.ingest.events import Cursor, Event
from millrace.ingest.producer import Fenced, KafkaSink
from millrace.ingest.values import iso
from millrace.simulate import bluesky as double
from millrace.simulate.posts import Events
from millrace.simulate.scenario import Scenario

TOPIC = "bluesky-raw-posts"
POST = "app.bsky.feed.post"
V2 = "/xrpc/network.bsky.jetstream.subscribeEvents"
SEEDS = itertools.count(7_000)


@dataclass
class Adapter:
    """`millrace ingest bluesky` as a child process; `log` is its standard error."""

    settings: Settings
    url: str
    folder: Path
    options: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.log = self.folder / f"adapter-{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "millrace", "ingest", "bluesky", "--url", self.url]
        command += ["--home", str(self.settings.home), "--bootstrap", self.settings.kafka_bootstrap]
        with self.log.open("wb") as stream:
            self.process = subprocess.Popen([*command, *self.options], stderr=stream)

    def says(self, text: str, deadline: float = 60) -> None:
        wait(lambda: text in self.log.read_text(), f"{text!r}", self, deadline)

    def ends(self, deadline: float = 60) -> int:
        return self.process.wait(deadline)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.ends(30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def wait(condition: Callable[[], object], what: str, adapter: Adapter | None = None, deadline: float = 60) -> None:
    """Return once `condition` holds; fail with the adapter's log when it has ended or time is up."""
    end = time.monotonic() + deadline
    while not condition():
        log = adapter.log.read_text() if adapter else ""
        over = time.monotonic() > end or (adapter and adapter.process.poll() not in (None, 0))
        assert not over, f"no {what} within {deadline} s\n{log}"
        time.sleep(0.05)  # the pace of looking, not a wait for something to be done


@pytest.fixture
def adapter(kafka: Settings, tmp_path: Path) -> Iterator[Callable[..., Adapter]]:
    """Start adapters that do not outlive the test."""
    started: list[Adapter] = []

    def start(url: str, *options: str, settings: Settings = kafka) -> Adapter:
        started.append(Adapter(settings, url, tmp_path, list(options)))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.kill()


class Topics:
    """What is committed in a broker's topics since this object was made."""

    def __init__(self, settings: Settings) -> None:
        self.consumer = KafkaConsumer(
            bootstrap_servers=settings.kafka_bootstrap,
            isolation_level="read_committed",
            enable_auto_commit=False,
        )
        self.begin = {name: self._ends(name) for name in (TOPIC, "dead-letters", "gaps")}

    def _ends(self, name: str) -> dict[TopicPartition, int]:
        places = [TopicPartition(name, number) for number in self.consumer.partitions_for_topic(name) or ()]
        return dict(self.consumer.end_offsets(places))

    def records(self, name: str) -> list:
        ends = self._ends(name)
        self.consumer.assign(list(ends))
        for place in ends:
            self.consumer.seek(place, self.begin[name].get(place, 0))
        found = []
        while any(self.consumer.position(place) < end for place, end in ends.items()):
            found += itertools.chain(*self.consumer.poll(timeout_ms=200).values())
        return found

    def posts(self) -> list[dict]:
        return [json.loads(record.value) for record in self.records(TOPIC)]

    def event_ids(self) -> Counter[str]:
        return Counter(post["event_id"] for post in self.posts())

    def letters(self) -> Counter[bytes]:
        return Counter(record.key for record in self.records("dead-letters"))

    def gaps(self) -> list[dict]:
        return [json.loads(record.value) for record in self.records("gaps")]

    def close(self) -> None:
        self.consumer.close()


@pytest.fixture
def topics(kafka: Settings) -> Iterator[Topics]:
    found = Topics(kafka)
    yield found
    found.close()


def scenario(**values: object) -> Scenario:
    """A scenario of its own seed, so that no test's ids are another's."""
    start = datetime.now(UTC) - timedelta(minutes=30)
    usual = {"rate": 1000, "count": 4000, "speed": 0, "start": start}
    return Scenario(seed=next(SEEDS), **{**usual, **values})


def truth(sent: Scenario) -> tuple[set[str], int]:
    """Return the event ids of all good posts of a finite scenario, and how many frames are broken."""
    ids, broken = set(), 0
    for event in map(Events(sent).at, range(sent.count or 0)):
        broken += event.kind == "malformed"
        if event.kind != "malformed" and event.collection == POST:
            ids.add(f"{event.did}/{event.body['rkey']}/{event.body['rev']}/{event.body['operation']}")
    return ids, broken


def exactly(topics: Topics, sent: Scenario, adapter: Adapter) -> None:
    """Wait until everything is there, end the adapter, and find every id once."""
    ids, _ = truth(sent)
    wait(lambda: len(topics.event_ids()) >= len(ids), f"{len(ids)} events", adapter)
    adapter.says("ready")
    assert adapter.stop() == 0, adapter.log.read_text()
    found = topics.event_ids()
    assert set(found) == ids
    assert found.total() == len(ids)


@pytest.mark.parametrize(("path", "sequence"), [("", True), ("", False), (V2, True)])
def test_everything_once(path: str, sequence: bool, adapter, topics: Topics) -> None:
    sent = scenario(duplicates=0.2, malformed=0.02, late=0.02, future_dated=0.02, sequence=sequence)
    with double.running(sent) as url:
        running = adapter(url + path, "--from-cursor", "1")
        exactly(topics, sent, running)
    letters = topics.letters()
    broken = truth(sent)[1]
    assert broken > 40
    assert letters.total() == broken
    assert topics.gaps() == []
    assert "ready\n" in running.log.read_text()


def test_records_carry_the_contract(adapter, topics: Topics) -> None:
    sent = scenario(count=300)
    with double.running(sent) as url:
        running = adapter(url, "--from-cursor", "1", "--limit", "100", "--keep-raw")
        assert running.ends() == 0
    records = topics.records(TOPIC)
    assert len(records) == 100
    for record in records:
        post, headers = json.loads(record.value), dict(record.headers)
        assert record.key.decode() == post["id"]
        assert headers["schema"] == b"post.v1"
        assert headers["event_id"].decode() == post["event_id"]
        assert datetime.fromisoformat(headers["ingested_at"].decode()) >= datetime.fromisoformat(post["observed_at"])
        assert record.timestamp == datetime.fromisoformat(post["event_time"]).timestamp() * 1000 // 1
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", post["event_time"])
        assert json.loads(post["raw"])["did"] == post["author"]["id"]
        assert b"\n" not in record.value
    assert "done: 100 events" in running.log.read_text()


@pytest.mark.parametrize("sequence", [True, False])
def test_dropped_and_silent_connections(sequence: bool, adapter, topics: Topics) -> None:
    faults = {"drop_every": 900, "silent_after": 1500, "duplicates": 0.1, "malformed": 0.01}
    sent = scenario(count=2500, rate=200, sequence=sequence, **faults)  # a time cursor goes 400 frames back
    with double.running(sent) as url:
        running = adapter(url, "--from-cursor", "1", "--watchdog", "2")
        exactly(topics, sent, running)
    log = running.log.read_text()
    assert "silent for 2 s" in log
    assert log.count("next attempt in") >= 3
    assert topics.gaps() == []
    if sequence:  # by time, a bad frame without a place at the seam may come under a second key
        assert len(topics.letters()) == truth(sent)[1]


KILLS = [(1, "", True), *(pytest.param(seed, V2 * (seed % 2), seed > 2, marks=pytest.mark.faults)
                          for seed in (2, 3, 4, 5))]  # fmt: skip


@pytest.mark.parametrize(("seed", "path", "sequence"), KILLS)
def test_killed_at_random_points(seed: int, path: str, sequence: bool, adapter, topics: Topics) -> None:
    draw = random.Random(seed)
    faults = {"duplicates": 0.1, "malformed": 0.01, "sequence": sequence}
    sent = scenario(count=16_000, rate=1000, speed=1, start=datetime.now(UTC), **faults)
    ids, broken = truth(sent)
    with double.running(sent) as url:
        running = adapter(url + path, "--from-cursor", "1")
        for round_ in range(1, 4):
            goal = len(ids) * (round_ + draw.uniform(-0.3, 0.3)) / 5
            wait(lambda goal=goal: len(topics.event_ids()) >= goal, f"{goal:.0f} events", running)
            running.kill()
            running = adapter(url + path)
        exactly(topics, sent, running)
    if sequence:
        assert len(topics.letters()) == broken
    assert topics.gaps() == []


def test_a_second_copy_fences_the_first(adapter, topics: Topics) -> None:
    sent = scenario(count=None, rate=200, speed=1)
    with double.running(sent) as url:
        first = adapter(url)
        wait(lambda: topics.event_ids().total() > 50, "events", first)
        second = adapter(url)
        assert first.ends() == 1, first.log.read_text()
        before = topics.event_ids().total()
        wait(lambda: topics.event_ids().total() > before + 50, "events of the second copy", second)
        assert second.stop() == 0
    assert "another copy of this feed has taken over" in first.log.read_text()
    assert max(topics.event_ids().values()) == 1


@pytest.mark.faults  # test_recovery kills one under adapter and job
def test_a_dead_broker_loses_and_doubles_nothing(tmp_path: Path, adapter) -> None:
    settings = own_broker(tmp_path)
    try:
        sent = scenario(count=8000, rate=1000, speed=1, start=datetime.now(UTC))
        with double.running(sent) as url:
            running = adapter(url, "--from-cursor", "1", settings=settings)
            before = Topics(settings)
            wait(lambda: before.event_ids().total() > 500, "events", running)
            before.close()
            os.kill(pid_of_broker(settings), signal.SIGKILL)
            running.says("records wait; next attempt in")
            stack.up(["kafka"], settings)
            topics = Topics(settings)
            topics.begin = {name: dict.fromkeys(places, 0) for name, places in topics.begin.items()}
            exactly(topics, sent, running)
            topics.close()
    finally:
        stack.down(settings, data=True)


def own_broker(folder: Path) -> Settings:
    """A broker that may die."""
    stack.up(["kafka"], config.load(home=folder / "home"))
    return config.load(home=folder / "home")


def pid_of_broker(settings: Settings) -> int:
    return next(line.pid for line in stack.status(settings) if line.name == "kafka" and line.pid)


def test_a_cursor_that_is_too_old_leaves_a_gap(adapter, topics: Topics) -> None:
    old = scenario(count=500, start=datetime.now(UTC) - timedelta(hours=50))
    new = replace(old, start=datetime.now(UTC) - timedelta(hours=1), seed=next(SEEDS), lookback=0.0001)
    port = 0
    with double.running(old) as url:
        port = int(url.rpartition(":")[2])
        exactly(topics, old, adapter(url, "--from-cursor", "1"))
    with double.running(new, port=port) as url:
        running = adapter(url)
        wait(topics.gaps, "gap", running)
        assert running.stop() == 0
    assert [gap["reason"] for gap in topics.gaps()] == ["the server no longer replays from the cursor"]


def test_a_later_cursor_that_is_chosen_leaves_a_gap(adapter, topics: Topics) -> None:
    sent = scenario(count=2000, rate=10)
    later = sent.start_us + 100_000_000
    with double.running(sent) as url:
        assert adapter(url, "--from-cursor", "1", "--limit", "50").ends() == 0
        assert topics.gaps() == []
        last = max(post["event_time"] for post in topics.posts())
        assert adapter(url, "--from-cursor", str(later), "--limit", "50").ends() == 0
    [gap] = topics.gaps()
    assert gap["reason"] == "a later cursor was chosen"
    assert last <= gap["from"] < gap["to"] == iso(later)


def test_a_giant_message_is_a_dead_letter(adapter, topics: Topics) -> None:
    good = frames(40)
    giant = b'{"did":"' + b"x" * (3 << 20) + b'"}'
    with serving([*good[:20], giant, *good[20:]]) as url:
        running = adapter(url, "--limit", "40")
        assert running.ends() == 0
    letters = [json.loads(record.value) for record in topics.records("dead-letters")]
    assert [(letter["size"], letter["topic"], letter["offset"]) for letter in letters] == [(len(giant), TOPIC, None)]
    assert topics.event_ids().total() == 40


def frames(count: int) -> list[bytes]:
    """Good posts on the v1 wire."""
    now, tag = time.time_ns() // 1000, next(SEEDS)
    return [json.dumps(frame(now + index, f"did:plc:test{tag}", f"r{index}")).encode() for index in range(count)]


def frame(time_us: int, did: str, rkey: str) -> dict:
    record = {"$type": POST, "text": f"post {rkey}", "createdAt": "2026-11-01T00:00:00Z"}
    commit = {"rev": "3r", "operation": "create", "collection": POST, "rkey": rkey, "record": record}
    return {"did": did, "time_us": time_us, "kind": "commit", "commit": commit}


@pytest.mark.parametrize("landed", [True, False])
def test_a_commit_without_an_answer(landed: bool, kafka: Settings, topics: Topics, monkeypatch) -> None:
    """Whether the broker had committed before it went away is read from the cursor, not guessed."""
    posts = [
        event for event in (parse(each, time.time_ns() // 1000) for each in frames(20)) if isinstance(event, Event)
    ]
    outages = iter([True])

    def within(seconds: float, call: Callable[[], object]) -> None:
        outage = next(outages, False)
        if not outage or landed:
            call()
        if outage:
            raise TimeoutError

    lines: list[str] = []
    sink = copy("unanswered", kafka, lines.append)
    sink.open()
    monkeypatch.setattr(producer, "_within", within)
    sink.write(posts, Cursor("ws://none", 7, posts[-1].seen))
    assert len(lines) == 1
    once = Counter(event.event_id for event in posts)
    wait(lambda: topics.event_ids() == once, "each post once")  # brokers answer before the commit is visible
    assert set(sink.recent(50_000)[-20:]) == {event.event_id for event in posts}
    sink.write(posts[:1], Cursor("ws://none", 8, posts[-1].seen))  # the new producer goes on
    sink.close()
    committed = last_cursor(kafka.kafka_bootstrap, "unanswered")
    assert committed is not None
    assert (committed.position, committed.batch) == (8, 3)


@pytest.mark.parametrize("when", ["looks", "has looked", "sends"])
def test_a_fenced_copy_writes_nothing_more(when: str, kafka: Settings, topics: Topics, monkeypatch) -> None:
    """Also one that looked before the newer copy claimed the feed, and one that is told while it sends."""
    posts = [
        event for event in (parse(each, time.time_ns() // 1000) for each in frames(20)) if isinstance(event, Event)
    ]
    cursor, name, lines = Cursor("ws://none", 1, posts[-1].seen), f"twice-{when.replace(' ', '-')}", []
    first, second = copy(name, kafka, lines.append), copy(name, kafka, lines.append)
    first.open()
    first.write(posts[:1], cursor)
    second.open()
    if when == "has looked":
        monkeypatch.setattr(first, "_look_for_others", lambda: None)
    if when == "sends":
        monkeypatch.setattr(first, "_send", partial(and_waits, first._send))
    with pytest.raises(Fenced, match="another copy"):
        first.write(posts[1:], cursor)
    first.close()
    assert lines == []
    second.write(posts[1:], cursor)
    second.close()
    wait(lambda: topics.event_ids() == Counter(event.event_id for event in posts), "each post once")


def and_waits(send: Callable[..., None], made: KafkaProducer, *words: object) -> None:
    send(made, *words)
    wait(made._transaction_manager.has_error, "the broker's refusal")


def copy(name: str, kafka: Settings, say: Callable[[str], None]) -> KafkaSink:
    """A copy of the adapter of a feed that has a name of its own."""
    named = replace(feed(["ws://none"]), name=name)
    return KafkaSink(named, kafka.kafka_bootstrap, kafka.partitions, stop=threading.Event(), say=say)


def test_no_broker_at_all_is_said_and_fails(adapter, tmp_path: Path) -> None:
    nowhere = Settings(home=tmp_path, kafka_bootstrap="127.0.0.1:1")
    running = adapter("ws://127.0.0.1:1", settings=nowhere)
    assert running.ends(90) == 1
    assert "Kafka at 127.0.0.1:1" in running.log.read_text()
