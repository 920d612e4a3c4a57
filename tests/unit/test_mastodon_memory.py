"""Revisits that wait: each delay has its share of the room, and what had none is told."""

import time

import pytest

from millrace.ingest.events import SECOND
from millrace.ingest.mastodon import memory
from millrace.ingest.mastodon.instance import Instance
from millrace.ingest.mastodon.memory import TOLD_EVERY, Memory
from millrace.ingest.mastodon.statuses import Writer
from millrace.ingest.mastodon.timeline import Timeline

NOW = 1_783_175_900 * SECOND
MINUTES, DAY = 300.0, 86_400.0


class Timer:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "WAITING", 200)


def test_long_delays_do_not_crowd_out_short_ones() -> None:
    """Two hours of ten posts a minute: the day's entries fill their share within ten minutes, and no other's."""
    timer = Timer()
    kept, revisited = Memory((MINUTES, DAY), timer), 0
    for minute in range(120):
        now = NOW + minute * 60 * SECOND
        for number in range(10):
            kept.add(f"{minute}-{number}", "https://x", now, now)
        revisited += len(kept.take(1000))
        timer.now += 60
    assert revisited == 10 * (120 - 5)
    assert kept.lost() == 10 * 120 - 100  # those of the day


def test_what_had_no_room_is_counted_and_told_now_and_then() -> None:
    timer = Timer()
    kept = Memory((MINUTES,), timer)
    for number in range(203):
        kept.add(str(number), "https://x", NOW, NOW)
    assert [kept.lost(), kept.lost()] == [3, 0]
    kept.add("more", "https://x", NOW, NOW)
    assert kept.lost() == 0
    timer.now += TOLD_EVERY
    assert [kept.lost(), kept.lost()] == [1, 0]


def test_a_timeline_says_it() -> None:
    lines: list[str] = []
    kept = Memory((MINUTES,))
    url = "http://127.0.0.1:1"
    line = Timeline(Instance(url), "public", Writer(url), kept, say=lines.append)
    now = int(time.time() * SECOND)
    for number in range(203):
        kept.add(str(number), "https://x", now, now)
    assert [list(line.revisit()), list(line.revisit())] == [[], []]
    assert len(lines) == 1 and "3 revisits are left out" in lines[0]


def test_those_that_wait_longest_come_first_of_all_delays() -> None:
    timer = Timer()
    kept = Memory((10.0, 20.0), timer)
    kept.add("new", "https://x", NOW, NOW)
    kept.add("old", "https://x", NOW - 15 * SECOND, NOW)
    timer.now += 30
    assert kept.take(3) == [(NOW - 5 * SECOND, "old"), (NOW + 5 * SECOND, "old"), (NOW + 10 * SECOND, "new")]
    kept.put_back([(NOW + 10 * SECOND, "new")])
    assert sorted(kept.take(9)) == [(NOW + 10 * SECOND, "new"), (NOW + 20 * SECOND, "new")]


def test_without_delays_nothing_waits() -> None:
    kept = Memory()
    kept.add("1", "https://x", NOW, NOW)
    assert (kept.take(9), kept.lost()) == ([], 0)
