"""The wall clock is set back or ahead by an hour: nothing waits longer or shorter for it."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest

from millrace import config
from millrace.errors import MillraceError, Unavailable
from millrace.ingest import command, reader
from millrace.ingest.buffer import Buffer
from millrace.ingest.events import SECOND, Cursor, Event, Feed, Pulse, Stream
from millrace.ingest.mastodon.client import LimitReached
from millrace.ingest.mastodon.instance import Instance
from millrace.ingest.mastodon.memory import Memory
from millrace.ingest.mastodon.pages import TICK
from millrace.ingest.mastodon.plan import Plan
from millrace.ingest.mastodon.statuses import Writer
from millrace.ingest.mastodon.timeline import REREAD_EVERY, Timeline
from millrace.ingest.reader import Reader
from millrace.ingest.run import Loop, Options
from millrace.kafka.topics import BLUESKY
from millrace.simulate.community import Community
from millrace.simulate.instance import Instance as Double
from millrace.simulate.mastodon import running
from tests.unit.test_ingest_run import HOST
from tests.unit.test_ingest_run import Memory as Sink

HOUR = 3600.0
STEPS = [-HOUR, 0.0, HOUR]


@dataclass
class Clocks:
    """A wall clock that somebody sets, and a monotonic one that sleeping moves."""

    wall: float
    timer: float = 5000.0

    def sleep(self, seconds: float) -> None:
        self.wall += seconds
        self.timer += seconds


@dataclass
class Case:
    url: str
    double: Double
    clocks: Clocks
    instance: Instance
    memory: Memory
    timeline: Timeline


@pytest.fixture
def case() -> Iterator[Case]:
    clocks = Clocks(time.time())
    with running(Community(seed=3, count=60, rate=20, speed=0, delayed=0.0, limit=100, period=200.0)) as (url, double):
        instance = Instance(url, timer=lambda: clocks.timer)
        memory = Memory((30.0,), lambda: clocks.timer)
        line = Timeline(instance, "public", Writer(url), memory, say=print, clock=lambda: clocks.wall,
                        timer=lambda: clocks.timer, sleep=clocks.sleep)  # fmt: skip
        yield Case(url, double, clocks, instance, memory, line)


@pytest.mark.parametrize("step", STEPS)
def test_a_wait_is_as_long_as_it_was_meant(case: Case, step: float) -> None:
    waiting = case.timeline.pages.wait(3.0)
    next(waiting)
    case.clocks.wall += step
    assert len(list(islice(waiting, 1000))) == 3.0 / TICK - 1


@pytest.mark.parametrize("step", STEPS)
def test_pages_are_read_again_each_minute(case: Case, step: float) -> None:
    list(case.timeline.begin(None))
    case.clocks.wall += step
    before = case.double.calls["200"]
    list(case.timeline.reread())
    assert case.double.calls["200"] == before
    case.clocks.timer += REREAD_EVERY
    list(case.timeline.reread())
    assert case.double.calls["200"] > before


@pytest.mark.parametrize("step", STEPS)
def test_revisits_come_when_they_are_due(case: Case, step: float) -> None:
    now = case.timeline.now
    list(case.timeline.begin(None))
    case.memory.add("7", "https://mill.example/7", now, now)
    case.clocks.wall += step
    case.clocks.timer += 29
    list(case.timeline.revisit())
    assert case.memory.take(99) == []
    case.clocks.timer += 1
    assert ("7" in [each for _, each in case.memory.take(99)]) is True


@pytest.mark.parametrize("step", STEPS)
def test_the_rate_limit_is_kept(case: Case, step: float, monkeypatch: pytest.MonkeyPatch) -> None:
    case.instance.timeline("public")
    pace = case.instance.pace(0.0, 1)
    assert 1.0 < pace < 3.0  # some 97 calls in less than 200 s
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + step)
    assert case.instance.pace(0.0, 1) == pace
    case.double.community = Community(limit=1, period=200.0)
    case.double._period = time.time()  # the double lives by the same clock
    with pytest.raises(LimitReached):
        case.instance.timeline("public")
    with pytest.raises(LimitReached) as told:
        case.instance.timeline("public")
    calls = case.double.calls["429"]
    case.clocks.timer += told.value.delay - 1
    with pytest.raises(LimitReached):
        case.instance.timeline("public")
    assert case.double.calls["429"] == calls  # it was not asked
    case.clocks.timer += 1
    case.double.community = Community(limit=1000, period=200.0)
    assert case.instance.timeline("public") is not None


def test_a_pulse_feeds_the_watchdog_and_writes_nothing() -> None:
    clocks = Clocks(0.0)

    def stream(_: str, __: Cursor | None) -> Stream:
        for item in (None, Pulse(), Pulse(), None, None):
            clocks.timer += 50
            yield item

    buffer = Buffer()
    feed = Feed("test", BLUESKY, (HOST,), stream)
    with pytest.raises(Unavailable, match="silent for 60 s"):
        Reader(feed, buffer, None, stop=threading.Event(), say=print, timer=lambda: clocks.timer).follow(HOST)
    assert clocks.timer == 5250.0  # not before two ticks without a pulse
    assert not [each for each in buffer.take(9) if isinstance(each, Event | Pulse)]


def test_the_watchdog_watches_polling_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Options] = []
    monkeypatch.setattr(command, "carry", lambda _, __, options, *___: seen.append(options))
    monkeypatch.setattr(command, "recall", lambda *_: 0)
    command.mastodon(config.load(home=tmp_path), Options(watchdog=7.0), Plan(("https://one.example",)))
    assert [options.watchdog for options in seen] == [7.0]


def test_a_call_that_never_returns_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "STUCK", 0.2)
    over = threading.Event()

    def stream(_: str, __: Cursor | None) -> Stream:
        yield None
        over.wait(30)

    loop = Loop(Feed("test", BLUESKY, (HOST,), stream), Sink(), Options(watchdog=0.01, seconds=30),
                stop=threading.Event(), say=print)  # fmt: skip
    with pytest.raises(MillraceError, match="reader of test hangs"):
        loop.run()
    over.set()


def test_a_cursor_goes_back_with_no_clock() -> None:
    cursor = Cursor(HOST, 10 * SECOND, 10 * SECOND)
    cursor.advance(HOST, Event("t", b"", b"", 0, "a", 11 * SECOND, 11 * SECOND), now=10 * SECOND - int(HOUR) * SECOND)
    assert (cursor.position, cursor.seen) == (10 * SECOND, 10 * SECOND)
