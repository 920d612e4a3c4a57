"""A secret planted in each place that a URL can come from: nobody shows it, stores it or carries it elsewhere."""

import json
import threading
from collections.abc import Iterator
from http import HTTPStatus

import pytest
from pydantic import SecretStr
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from millrace.errors import MillraceError, Unavailable
from millrace.ingest.addresses import is_at
from millrace.ingest.bluesky import feed as bluesky
from millrace.ingest.events import Cursor, Gap
from millrace.ingest.finnhub import feed as finnhub
from millrace.ingest.frames import Refused, messages
from millrace.ingest.mastodon.instance import Instance
from millrace.ingest.resumption import start
from millrace.ingest.run import Loop, Options
from millrace.ingest.tweets import feed as tweets
from millrace.ingest.values import cursor_value, gap_value, read_cursor
from millrace.simulate.community import Community
from millrace.simulate.mastodon import running
from millrace.sinks.clickhouse import client as clickhouse
from tests.unit.test_frames import serving
from tests.unit.test_ingest_run import T0, Memory, Scripted, carried, event, follow

SECRET = "hush"
HOSTS = (f"ws://ada:{SECRET}@one:81/{SECRET}?token={SECRET}", f"ws://two/{SECRET}?token={SECRET}#{SECRET}")
REDIRECTS = [301, 302, 303, 307, 308]


def redirecting(status: int, to: str) -> Response:
    headers = {"Location": f"{to}/?token={SECRET}", "Content-Length": "0", "Connection": "close"}
    return Response(status, HTTPStatus(status).phrase, Headers(headers), b"")


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[Request]]]:
    """A server that must hear nothing: its URL, and what it heard."""
    heard: list[Request] = []
    with serving(lambda _: None, process_request=lambda _, request: heard.append(request)) as url:
        yield url, heard


@pytest.mark.parametrize("status", REDIRECTS)
def test_a_websocket_follows_no_redirect_and_says_where_to(status: int, elsewhere: tuple[str, list[Request]]) -> None:
    target, heard = elsewhere
    header = [f"Authorization: Bearer {SECRET}"]
    answer = redirecting(status, target)
    with serving(lambda _: None, process_request=lambda *_: answer) as url, pytest.raises(Refused) as refused:
        next(messages(f"{url}/?token={SECRET}", header=header))
    assert refused.value.status == status
    assert str(refused.value) == f"{url}: refused with HTTP status {status}, it redirects to {target}"
    assert heard == []


@pytest.mark.parametrize("target", ["http://u:hush@[", "nonsense hush", "//hush:99999"])
def test_a_redirect_to_nowhere_is_told_without_it(target: str) -> None:
    answer = redirecting(302, target)
    with serving(lambda _: None, process_request=lambda *_: answer) as url, pytest.raises(Unavailable) as gone:
        next(messages(url))
    assert SECRET not in str(gone.value)


@pytest.mark.parametrize("status", REDIRECTS)
def test_an_instance_that_redirects_is_an_outage(status: int, elsewhere: tuple[str, list[Request]]) -> None:
    target, heard = (each if isinstance(each, list) else each.replace("ws", "http") for each in elsewhere)
    with running(Community(count=1, token=SECRET)) as (url, double):
        double.proxy = lambda _: redirecting(status, target)
        for call in (lambda it: it.timeline("public"), lambda it: it.is_gone("1"), lambda it: it.closed("public")):
            with pytest.raises(Unavailable, match=f"redirects to {target}") as told:
                call(Instance(url, SECRET))
            assert SECRET not in str(told.value)
    assert heard == []


@pytest.mark.parametrize("told", [f"wss://u:{SECRET}@stream.example?{SECRET}", "wss://stream.example/"])
def test_the_streaming_server_that_an_instance_names_has_no_secret(told: str) -> None:
    assert streaming(told) == "wss://stream.example/api/v1/streaming"


@pytest.mark.parametrize("told", ["https://stream.example", "wss://", "wss://h:99999", None, 5, ["wss://h"]])
def test_a_streaming_server_that_is_none_is_not_asked(told: object) -> None:
    assert streaming(told) == "ws://mill.example/api/v1/streaming"


def test_an_instance_by_https_is_not_streamed_in_the_clear() -> None:
    assert streaming("ws://stream.example", "https://mill.example") == "wss://mill.example/api/v1/streaming"


def streaming(told: object, url: str = "http://mill.example") -> str:
    instance = Instance(url)
    instance._about = {"configuration": {"urls": {"streaming": told}}}
    return instance.streaming_url()


def test_cursors_gaps_and_lines_hold_addresses_alone() -> None:
    gone = Unavailable("gone")
    script = Scripted([gone], [None, event("a", 1, T0), gone], [gone], [gone],
                      [None, event("b", 2, T0 + 60_000_000)], hosts=HOSTS)  # fmt: skip
    sink = Memory(Cursor(HOSTS[0], 7, T0 - 60_000_000))
    counts, lines = carried(script, sink, limit=2)
    gaps = [item for item in sink.items if isinstance(item, Gap)]
    assert counts.gaps == len(gaps) > 0
    assert sink.committed.host in ("ws://one:81", "ws://two")
    assert SECRET not in "".join([*lines, repr(gaps), repr(sink.committed), *map(str, map(gap_value, gaps))])


def test_the_host_before_is_told_by_its_address() -> None:
    entries, lines = follow(Scripted([None, event("a", 3, T0 - 5)], hosts=HOSTS[1:]), Cursor(HOSTS[0], 7, T0))
    gaps = [entry for entry in entries if isinstance(entry, Gap)]
    assert [gap.reason for gap in gaps] == ["the host before was ws://one:81"]
    assert SECRET not in repr((gaps, lines))


def test_a_cursor_that_was_stored_goes_on_at_its_host() -> None:
    stored = read_cursor(cursor_value(Cursor(HOSTS[1], 17, T0)))
    assert stored.host == "ws://two"
    assert [is_at(stored.host, host) for host in HOSTS] == [False, True]
    assert start(Scripted(hosts=HOSTS).feed, stored, HOSTS[1]).position == 17
    script = Scripted([None, event("a", 17, T0)], hosts=HOSTS)
    follow(script, stored)
    assert script.asked[0] == (HOSTS[1], 17)


def test_a_defect_is_told_by_its_place_and_not_by_its_text() -> None:
    _, lines = carried(Scripted([ValueError(f"bad ws://h?token={SECRET}")]), Memory(), seconds=0.3)
    assert any("ValueError at line" in line for line in lines)
    assert SECRET not in "".join(lines)


@pytest.mark.parametrize("provider", ["bluesky", "finnhub", "tweets"])
def test_a_feed_that_is_redirected_tells_no_secret(provider: str, elsewhere: tuple[str, list[Request]]) -> None:
    target, heard = elsewhere
    lines: list[str] = []
    with serving(lambda _: None, process_request=lambda *_: redirecting(302, target)) as url:
        feed = {
            "bluesky": lambda: bluesky.feed([f"{url}/?token={SECRET}"]),
            "finnhub": lambda: finnhub.feed(url, ["AAPL"], SecretStr(SECRET), say=lines.append),
            "tweets": lambda: tweets.feed([f"{url}/?token={SECRET}"]),
        }[provider]()
        sink = Memory()
        Loop(feed, sink, Options(seconds=0.5), stop=threading.Event(), say=lines.append).run()
    assert any(f"redirects to {target}" in line for line in lines)
    assert SECRET not in repr((lines, sink.items, sink.committed))
    assert heard == []


def test_an_echo_of_the_quoted_key_is_left_out() -> None:
    key, lines = "hush&hush=1 2", []
    follower = finnhub.Follower(["AAPL"], SecretStr(key), lines.append, lambda: 0.0, lambda: 0.0)
    for echo in (key, "hush%26hush%3D1+2", "hush%26hush%3D1%202"):
        follower._explain(f"strange {echo}")
    assert lines == ["Finnhub says 'strange ...'"]


def test_a_redirect_in_the_place_of_a_status_deletes_nothing() -> None:
    body = json.dumps({"error": "Record not found"}).encode()
    headers = Headers({"Location": "/x", "Content-Length": str(len(body)), "Connection": "close"})

    def proxy(_: Request) -> Response:
        return Response(302, "Found", headers, body)

    with running(Community(count=1)) as (url, double):
        double.proxy = proxy
        with pytest.raises(Unavailable):
            Instance(url).is_gone("1")


@pytest.mark.parametrize(
    "url",
    [
        f"http://ada:{SECRET}@127.0.0.1:1/d?access_token={SECRET}",
        f"http://ada:{SECRET}@x{SECRET}@127.0.0.1:1",
        f"https://ada:{SECRET}@127.0.0.1:1/?password={SECRET}",
        f"http://ada:1?{SECRET}={SECRET}@127.0.0.1:1",
    ],
)
def test_an_address_of_clickhouse_is_told_without_it(url: str) -> None:
    with pytest.raises(MillraceError, match=r"ClickHouse at 127.0.0.1:1, database d.*, user ada") as told:
        clickhouse.connect(url)
    assert SECRET not in str(told.value)
