"""Which refusals end an adapter: what is said of the token, not what a firewall says, and not for a few seconds."""

import json
from collections.abc import Callable
from http import HTTPStatus

import pytest
from pydantic import SecretStr
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection

from millrace.errors import ConfigError, Unavailable
from millrace.ingest.finnhub.feed import Follower
from millrace.ingest.mastodon.feed import feed
from millrace.ingest.mastodon.instance import STRIKES, Instance
from millrace.ingest.mastodon.plan import Plan
from millrace.ingest.refusals import PATIENCE, Refusals
from millrace.simulate.community import Community
from millrace.simulate.instance import STREAMING
from millrace.simulate.mastodon import running
from tests.unit.test_frames import serving
from tests.unit.test_mastodon_absences import Clock, page

OWN = json.dumps({"error": "The access token is invalid"}).encode()
FIREWALL = b"<html><h1>403 Forbidden</h1>Access denied: missing token</html>"
MANY = 3 * STRIKES


def always(answer: Response) -> Callable[[Request], Response]:
    return lambda _: answer


def test_a_token_that_never_worked_has_its_strikes() -> None:
    refusals = Refusals(3, Clock())
    assert [refusals.refuse() for _ in range(3)] == [False, False, True]


def test_a_token_that_worked_has_minutes_from_the_first_refusal_on() -> None:
    clock = Clock()
    refusals = Refusals(1, clock)
    refusals.accept()
    assert not any(refusals.refuse() for _ in range(MANY))
    clock.now += PATIENCE - 1
    assert not refusals.refuse()
    refusals.accept()
    clock.now += 1
    assert not refusals.refuse()
    clock.now += PATIENCE
    assert refusals.refuse()


@pytest.mark.parametrize("status", [401, 403, 422])
@pytest.mark.parametrize("body", [FIREWALL, b"", b"{}"])
def test_a_firewall_never_ends_the_reading_of_an_instance(status: int, body: bytes) -> None:
    clock = Clock()
    with running(Community(count=5, speed=0, token="right")) as (url, double):
        instance = Instance(url, "right", timer=clock)
        double.proxy = always(page(body, status))
        for _ in range(MANY):
            clock.now += PATIENCE
            with pytest.raises(Unavailable, match=f"HTTP status {status}"):
                instance.timeline("public")
        double.proxy = lambda _: None
        assert instance.timeline("public")


def test_an_instance_that_refuses_a_token_that_worked_has_minutes() -> None:
    clock = Clock()
    with running(Community(count=5, speed=0)) as (url, double):
        instance = Instance(url, "right", timer=clock)
        assert instance.timeline("public")
        double.proxy = always(page(OWN, HTTPStatus.UNAUTHORIZED))
        for _ in range(MANY):
            with pytest.raises(Unavailable):
                instance.timeline("public")
        clock.now += PATIENCE
        with pytest.raises(ConfigError, match="access token is not accepted"):
            instance.timeline("public")


def test_a_description_that_anybody_may_read_proves_no_token() -> None:
    with running(Community(count=5, speed=0)) as (url, double):
        instance = Instance(url, "wrong", timer=Clock())
        double.proxy = lambda request: page(OWN, 401) if "timelines" in request.path else None
        for _ in range(STRIKES - 1):
            with pytest.raises(Unavailable):
                instance.timeline("public")
            instance.closed("public")
        with pytest.raises(ConfigError):
            instance.timeline("public")


@pytest.mark.parametrize(
    ("answer", "final"),
    [
        (page(FIREWALL, 403), False),
        (page(b"", 403), False),
        (page(OWN, 401), True),
        (page(b"", 401), True),
        (page(b"", 403, **{"X-Error-Message": "Not authorized to stream these notifications"}), True),
    ],
    ids=["firewall", "bare 403", "JSON", "bare 401", "header"],
)
def test_a_stream_ends_by_what_the_streaming_server_says(answer: Response, final: bool) -> None:
    with running(Community(count=5, speed=0)) as (url, double):
        double.proxy = lambda request: answer if request.path.startswith(STREAMING) else None
        made = feed(Plan((url,), stream="public"), "x", say=print, timer=Clock())
        for number in range(MANY):
            wanted = ConfigError if final and number >= STRIKES - 1 else Unavailable
            with pytest.raises(wanted):
                next(made.connect(made.hosts[0], None))


def follower(clock: Clock) -> Follower:
    return Follower(["AAPL"], SecretStr("key"), print, Clock(), clock)


@pytest.mark.parametrize("status", [401, 403])
def test_a_firewall_never_ends_the_reading_of_finnhub(status: int) -> None:
    def refuse(connection: ServerConnection, _: Request) -> Response:
        return connection.respond(status, "<html>Access denied by the firewall</html>")

    clock = Clock()
    reader = follower(clock)
    with serving(lambda _: None, process_request=refuse) as url:
        for _ in range(3):
            clock.now += PATIENCE
            with pytest.raises(Unavailable, match=f"HTTP status {status}"):
                next(reader.connect(url, None))


@pytest.mark.parametrize("text", ["Invalid API key", ""])
def test_finnhub_that_refuses_a_key_that_worked_has_minutes(text: str) -> None:
    works = [True]

    def refuse(connection: ServerConnection, _: Request) -> Response | None:
        return None if works[0] else connection.respond(HTTPStatus.UNAUTHORIZED, text)

    def handle(connection: ServerConnection) -> None:
        connection.send('{"type":"ping"}')
        for _ in connection:
            pass

    clock = Clock()
    reader = follower(clock)
    with serving(handle, process_request=refuse) as url:
        stream = reader.connect(url, None)
        assert len([next(stream) for _ in range(3)]) == 3  # connected, subscribed, ping
        stream.close()
        works[0] = False
        for _ in range(3):
            with pytest.raises(Unavailable, match="as it did before"):
                next(reader.connect(url, None))
        clock.now += PATIENCE
        with pytest.raises(ConfigError, match="does not accept the token"):
            next(reader.connect(url, None))
        with pytest.raises(ConfigError, match="does not accept the token"):
            next(follower(clock).connect(url, None))  # it never worked
