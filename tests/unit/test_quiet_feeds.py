"""A feed may be quiet for long: pings are life, and a stream of a tag is asked for by its name."""

import threading
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr
from websockets.http11 import Request
from websockets.protocol import State
from websockets.sync.server import ServerConnection

from millrace.errors import Unavailable
from millrace.ingest import frames
from millrace.ingest.bluesky import feed as bluesky
from millrace.ingest.buffer import Buffer
from millrace.ingest.events import Feed, Pulse
from millrace.ingest.finnhub import feed as finnhub
from millrace.ingest.frames import messages
from millrace.ingest.mastodon import feed as mastodon
from millrace.ingest.mastodon.plan import Plan
from millrace.ingest.reader import Reader
from millrace.ingest.tweets import feed as tweets
from millrace.simulate.community import Community
from millrace.simulate.instance import STREAMING
from millrace.simulate.mastodon import running
from tests.support import wait
from tests.unit.test_frames import serving

PINGS = 5


class Clock:
    """A monotonic clock that the server of a test steps, and that knows how often it was looked at."""

    def __init__(self) -> None:
        self.now, self.looks = 0.0, 0

    def __call__(self) -> float:
        self.looks += 1
        return self.now


CLOCK = Clock()


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "TICK", 0.01)


def pinging(connection: ServerConnection) -> None:
    """Send pings and nothing else, fifty seconds apart by CLOCK, each seen by the reader, and leave."""
    for _ in range(PINGS):
        assert connection.ping().wait(10)
        CLOCK.now += 50
        looks = CLOCK.looks
        wait(lambda looks=looks: CLOCK.looks > looks + 3 or connection.state is not State.OPEN, "looks at the clock")
        if connection.state is not State.OPEN:
            return


def hasty(connection: ServerConnection) -> None:
    """Send pings, one after the other, and leave."""
    for _ in range(PINGS):
        connection.ping().wait(10)


def test_a_ping_is_a_pulse_for_who_wants_to_know() -> None:
    with serving(hasty) as url:
        for wanted, count in ((True, PINGS), (False, 0)):
            found: list[object] = []
            with pytest.raises(Unavailable, match="closed by the server"):
                found.extend(messages(url, pings=wanted))
            assert sum(isinstance(each, Pulse) for each in found) == count


def lasts(feed: Feed) -> str:
    """Follow a feed by CLOCK; returns why the connection ended."""
    reader = Reader(feed, Buffer(), None, stop=threading.Event(), say=print, watchdog=99.0, timer=CLOCK)
    with pytest.raises(Unavailable) as ended:
        reader.follow(feed.hosts[0])
    return str(ended.value)


def test_pings_keep_a_quiet_stream_of_trades() -> None:
    with serving(pinging) as url:
        made = finnhub.feed(url, ["AAPL"], SecretStr("key"), say=print)
        assert "closed by the server" in lasts(made)


def test_pings_keep_a_quiet_generator_of_tweets() -> None:
    with serving(pinging) as url:
        assert "closed by the server" in lasts(tweets.feed([url]))


def test_pings_keep_a_quiet_stream_of_posts() -> None:
    with serving(pinging) as stream, running(Community(count=1, speed=0)) as (url, double):
        double._about = lambda: {"configuration": {"urls": {"streaming": stream}}}
        made = mastodon.feed(Plan((url,), stream="public"), say=print)
        assert "closed by the server" in lasts(made)


def test_pings_alone_are_no_life_of_a_stream_that_never_rests() -> None:
    with serving(pinging) as url:
        assert "silent for 99 s" in lasts(bluesky.feed([url]))


@pytest.mark.parametrize("tag", ["café", "日本", "a b", "50%", "x&stream=user"])
def test_the_stream_of_a_tag_is_asked_for_by_its_name(tag: str) -> None:
    asked: list[Request] = []
    with running(Community(count=1, speed=0)) as (url, double):
        double.proxy = asked.append
        made = mastodon.feed(Plan((url,), stream="hashtag", tags=(tag,)), say=print)
        stream = made.connect(made.hosts[0], None)
        next(stream)
        stream.close()
    [query] = [urlsplit(each.path).query for each in asked if each.path.startswith(STREAMING)]
    assert parse_qs(query) == {"stream": ["hashtag"], "tag": [tag]}
