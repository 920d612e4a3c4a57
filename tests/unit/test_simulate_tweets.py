"""The generator of tweets: the same again, several clients, what breaks, and that its truth is true of its frames."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from millrace.errors import BadRecord, ConfigError
from millrace.ingest import frames
from millrace.ingest.events import Pulse
from millrace.ingest.tweets.shapes import Reading, parse
from millrace.simulate import tweets
from millrace.simulate.talk import BLOCK, WIRES, Talk, Tweets
from millrace.simulate.tweets import Generator, archive, running

START = datetime(2026, 11, 28, 12, tzinfo=UTC)
NOW = 1_800_000_000_000_000
FAULTS = {"malformed": 0.1, "empty": 0.05, "late": 0.1, "duplicates": 0.2, "bursts": 0.3}


def talk(**values: object) -> Talk:
    return Talk(**{"count": 1500, "speed": 0, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize("wire", WIRES)
def test_its_truth_is_what_the_adapter_makes_of_its_frames(wire):
    told = talk(wire=wire, **FAULTS)
    summary, *lines = Generator(told).lines()
    found: dict[str, dict] = {}
    bare: dict[str, str] = {}
    bad = 0
    for frame in archive(told):
        try:
            post = json.loads(parse(frame, NOW).value)
            found[post["id"]] = post
            bare[post["id"]] = json.loads(parse(frame, NOW, Reading(True, True)).value)["text"]
        except BadRecord:
            bad += 1
    # what is empty may be sent again, what is broken is not
    assert bad >= summary["malformed"] + summary["empty"] > 150
    assert found.keys() == {line["id"] for line in lines} and len(lines) == summary["tweets"]
    for line in lines:
        post = found[line["id"]]
        assert {name: post[name] for name in ("event_time", "text", "language")} == {
            name: line[name] for name in ("event_time", "text", "language")
        }
        assert sorted(post["hashtags"]) == line["hashtags"]
        assert (post["author"]["id"], bare[line["id"]]) == (line["author"], line["bare"])


def test_the_same_options_give_the_same_tweets():
    def told(seed: int) -> list[bytes]:
        return list(archive(talk(start=START, seed=seed, **FAULTS)))

    assert told(7) == told(7) != told(8)
    told_by = Tweets(talk(start=START))
    assert [told_by.at(index) for index in (3, 1, 2)] == [told_by.at(1 + each % 3) for each in (2, 0, 1)]


def test_several_clients_hear_the_same():
    with running(talk(count=400, rate=400, speed=1, start=START)) as (url, generator):
        with connect(url, compression=None) as one:
            heard = [one.recv(timeout=10)]
            with connect(url, compression=None) as other:
                heard += [one.recv(timeout=10) for _ in range(399)]
                begun = [other.recv(timeout=10)]
                while begun[-1] != heard[-1]:
                    begun.append(other.recv(timeout=10))
        assert begun == heard[-len(begun) :]
        summary, *lines = generator.lines()
    assert summary["sent_tweets"] == summary["tweets"] == 400 and all(line["sent"] for line in lines)


def test_who_comes_later_hears_what_comes_later(tmp_path: Path):
    truth = tmp_path / "truth.jsonl"
    with running(talk(count=100, drop_every=30), truth) as (url, _):
        heard: list[str] = []
        for size in (30, 30, 30, 10):
            with connect(url, compression=None) as client:
                heard += [json.loads(client.recv(timeout=10))["id"] for _ in range(size)]
                if size == 30:
                    with pytest.raises(ConnectionClosed):
                        client.recv(timeout=10)
        assert len(heard) == len(set(heard)) == 100
        assert truth.exists()  # as soon as the last one was told
    summary, *lines = map(json.loads, truth.read_text().splitlines())
    assert (summary["tweets"], summary["sent_tweets"], summary["late"]) == (100, 100, 0)
    assert [line["id"] for line in lines] == heard


def test_what_nobody_heard_was_not_sent():
    with running(talk(count=100, drop_every=30)) as (url, generator):
        with connect(url, compression=None) as client, pytest.raises(ConnectionClosed):
            list(client)
        summary, *lines = generator.lines()
    assert summary["sent_tweets"] == 30
    assert [line["sent"] for line in lines] == [True] * 30 + [False] * 70


def test_it_pings_until_it_is_to_look_dead(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(frames, "TICK", 0.01)
    monkeypatch.setattr(tweets, "PING", 0.01)
    with running(talk(count=3)) as (url, _):
        pings = (each for each in frames.messages(url, pings=True) if isinstance(each, Pulse))
        assert [next(pings), next(pings), next(pings)]
        pings.close()
    with running(talk(count=3, silent_after=2)) as (url, _):
        found = [each for each, _ in zip(frames.messages(url, pings=True), range(30), strict=False)]
    assert sum(isinstance(each, bytes) for each in found) == 2
    assert not any(isinstance(each, Pulse) for each in found[-10:])


def test_bursts_come_at_one_moment():
    burst = talk(bursts=1.0, start=START)
    times = [burst.nominal(index) for index in range(3 * BLOCK)]
    assert len(set(times)) == 3 and times == sorted(times)
    assert len({Tweets(burst).at(index).id for index in range(3 * BLOCK)}) == 3 * BLOCK
    assert len({talk(start=START).nominal(index) for index in range(3 * BLOCK)}) == 3 * BLOCK


def test_late_tweets_are_late():
    late = talk(late=0.5, start=START)
    found = Counter(
        (each.late, each.time_us < late.start_us - 1_799_000_000) for each in map(Tweets(late).at, range(500))
    )
    assert found.keys() == {(True, True), (False, False)}


@pytest.mark.parametrize("wrong", [{"bursts": 1.5}, {"empty": -1}, {"wire": "v3"}, {"rate": 0}, {"count": None}])
def test_wrong_options(wrong):
    with pytest.raises(ConfigError, match="wrong scenario"):
        talk(**wrong)
