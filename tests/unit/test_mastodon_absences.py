"""Which posts are taken for deleted, whatever stands between the adapter and the instance; over a real socket."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from millrace.errors import Unavailable
from millrace.ingest.events import SECOND, Event
from millrace.ingest.mastodon.absences import DOUBT, MASS, Absences
from millrace.ingest.mastodon.instance import Instance
from millrace.ingest.mastodon.memory import Memory
from millrace.ingest.mastodon.statuses import Writer
from millrace.ingest.mastodon.timeline import Timeline
from millrace.simulate.community import Community, Posts
from millrace.simulate.instance import STATUSES
from millrace.simulate.instance import Instance as Double
from millrace.simulate.mastodon import running

NOW = 1_783_175_900 * SECOND
ABSENT = json.dumps({"error": "Record not found"}).encode()
FOREIGN = (  # 404 of a proxy, a firewall, a gateway
    b"404 page not found\n",
    b"<html><h1>404 Not Found</h1></html>",
    b'{"message":"no Route matched with those values"}',
    b'"error"',
    b"null",
    b"",
)


def page(body: bytes, status: int = HTTPStatus.NOT_FOUND, **headers: str) -> Response:
    """Return an answer that the double itself would not give."""
    length = {"Content-Length": str(len(body)), "Connection": "close"}
    return Response(status, HTTPStatus(status).phrase, Headers(length | headers), body)


def only_statuses(answer: Response) -> Callable[[Request], Response | None]:
    """Let a proxy answer all lookups of statuses."""
    return lambda request: answer if request.path.startswith(STATUSES) else None


@dataclass
class Clock:
    """A clock that a test steps."""

    now: float = NOW / SECOND

    def __call__(self) -> float:
        return self.now


@dataclass
class Case:
    """A timeline of a double that knows `there`, and of `gone` that the adapter alone knows."""

    url: str
    double: Double
    there: list[str]
    gone: list[str] = field(default_factory=lambda: [str(number) for number in range(1, 2 * MASS)])

    def __post_init__(self) -> None:
        self.lines: list[str] = []
        self.clock = Clock()
        self.memory = Memory((300.0,))
        self.instance = Instance(self.url)
        self.absences = Absences(self.instance, self.memory, self.lines.append, self.clock)

    def know(self, *ids: str) -> None:
        """Let posts be remembered that are due to be looked up again."""
        for each in ids:
            self.memory.add(each, f"https://mill.example/{each}", NOW - 300 * SECOND, NOW)

    def revisit(self) -> list[str]:
        """Return the ids of the deletes that the revisits of one moment give."""
        line = Timeline(self.instance, "public", Writer(self.url), self.memory, say=self.lines.append,
                        clock=lambda: NOW / SECOND, timer=self.clock)  # fmt: skip
        values = [json.loads(item.value) for item in line.revisit() if isinstance(item, Event)]
        return [value["source_id"] for value in values if value["operation"] == "delete"]


@pytest.fixture
def case() -> Iterator[Case]:
    sent = Community(seed=3, count=60, rate=20, speed=0, limit=100_000, delayed=0.0)
    with running(sent) as (url, double):
        yield Case(url, double, [str(Posts(sent).at(number).id) for number in range(MASS)])


@pytest.mark.parametrize("body", FOREIGN)
def test_a_404_that_is_not_the_apis_own_deletes_nothing(case: Case, body: bytes) -> None:
    case.know(*case.there)
    case.double.proxy = only_statuses(page(body))
    assert case.revisit() == []
    with pytest.raises(Unavailable):
        case.instance.is_gone(case.there[0])


@pytest.mark.parametrize("body", [b"null", b"{}", b"[]"])
def test_an_answer_that_is_no_status_deletes_nothing(case: Case, body: bytes) -> None:
    case.double.proxy = only_statuses(page(body, HTTPStatus.OK))
    assert not case.instance.is_gone(case.there[0])


@pytest.mark.parametrize("body", [*FOREIGN, ABSENT])
def test_a_timeline_that_is_not_found_is_not_taken_for_empty(case: Case, body: bytes) -> None:
    case.double.proxy = lambda request: page(body) if "timelines" in request.path else None
    with pytest.raises(Unavailable, match="404"):
        case.instance.timeline("public")


def test_an_older_instance_that_does_not_describe_itself_is_open(case: Case) -> None:
    for body in (*FOREIGN, ABSENT):
        case.double.proxy = lambda request, body=body: page(body) if "/v2/instance" in request.path else None
        assert not Instance(case.url).closed("public")


def test_what_is_gone_beside_posts_that_are_there_is_deleted(case: Case) -> None:
    case.know("5", *case.there)
    assert case.revisit() == ["5"]
    case.know("6")  # alone: the newest other post says whether lookups work
    assert case.revisit() == ["6"]


def test_nothing_is_deleted_while_no_post_at_all_is_found(case: Case) -> None:
    case.know(*case.there)
    case.double.proxy = only_statuses(page(ABSENT))
    for known in (case.there[:1], case.there[1:3]):
        assert case.absences.confirm(known, 0) == []
    assert len(case.lines) == 1
    case.clock.now += DOUBT
    assert case.absences.again() == []
    case.double.proxy = lambda _: None
    case.clock.now += DOUBT
    assert case.absences.again() == []
    case.clock.now += DOUBT
    assert not case.absences._doubted


def test_a_mass_of_deletes_is_believed_when_it_is_told_again(case: Case) -> None:
    case.know(*case.gone, *case.there)
    found = len(case.there)
    assert len(case.gone) > found
    assert case.absences.confirm(case.gone, found) == []
    assert f"says of {len(case.gone)} posts at once that they are gone" in case.lines[0]
    assert case.absences.absent("", [], case.there[-1]) == case.there  # what is in doubt is not asked for meanwhile
    assert case.absences.again() == []
    case.clock.now += DOUBT
    assert case.absences.again() == case.gone
    assert case.absences.again() == []


def test_many_small_lookups_make_a_mass_too(case: Case) -> None:
    case.know(*case.gone, *case.there)
    deleted = [each for gone in case.gone for each in case.absences.confirm([gone], 0)]
    assert deleted == case.gone[: MASS - 1]
    case.clock.now += 2 * DOUBT  # deletes that come one by one are none
    case.absences._doubted.clear()
    assert case.absences.confirm(case.gone[-1:], 0) == case.gone[-1:]


def test_deletes_are_no_mass_where_more_posts_are_there(case: Case) -> None:
    case.know(*case.gone, *case.there)
    assert case.absences.missing([*case.gone, *case.there[:1]], shown=40) == case.gone
    assert case.lines == []


def test_what_cannot_be_asked_now_is_asked_later(case: Case) -> None:
    case.know("5", *case.there)
    case.double.proxy = only_statuses(page(b"busy", HTTPStatus.SERVICE_UNAVAILABLE))
    assert case.absences.confirm(["5"], 3) == []
    case.double.proxy = lambda _: None
    case.clock.now += DOUBT
    assert case.absences.again() == ["5"]
