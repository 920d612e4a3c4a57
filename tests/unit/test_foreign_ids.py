"""Servers of Mastodon's API with other ids: a restart reads what came meanwhile, and not all from the beginning."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.http11 import Request, Response

from millrace.ingest.events import SECOND, Cursor, Event, Mark
from millrace.ingest.mastodon.instance import PAGE, Instance
from millrace.ingest.mastodon.memory import Memory
from millrace.ingest.mastodon.snowflakes import are_times, created
from millrace.ingest.mastodon.statuses import Writer
from millrace.ingest.mastodon.timeline import REREAD_EVERY, Timeline
from millrace.simulate.community import Community
from millrace.simulate.mastodon import running
from tests.unit.test_mastodon import status
from tests.unit.test_mastodon_absences import page

BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
MINUTE = 60 * SECOND
NOW = int(time.time()) * SECOND


def spelled(number: int, digits: str, length: int) -> str:
    """Return `number` in the base of `digits`."""
    text = ""
    while number:
        number, digit = divmod(number, len(digits))
        text = digits[digit] + text
    return text.rjust(length, digits[0])


KINDS: dict[str, Callable[[int, int], str]] = {  # of the time (microseconds) and the number of a post
    "ulid": lambda moment, number: spelled((moment // 1000 << 80) + number, BASE32, 26),
    "flake": lambda moment, number: spelled((moment // 1000 << 64) + number, BASE62, 18),
    "pixelfed": lambda moment, number: str(((moment // 1000 - 1_549_756_800_000) << 22) + number),
    "numbers": lambda _, number: str(4711 + number),
}


@dataclass
class Server:
    """A timeline of posts a minute apart, the newest of now; answers like the server whose ids it has."""

    kind: str
    count: int
    asked: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.posts = [self.post(number) for number in range(self.count)]

    def post(self, number: int) -> dict:
        moment = NOW - (self.count - 1 - number) * MINUTE
        told = datetime.fromtimestamp(moment / SECOND, UTC).isoformat().replace("+00:00", "Z")
        return status(id=KINDS[self.kind](moment, number), uri=f"https://two.example/{number}", created_at=told)

    def answer(self, request: Request) -> Response | None:
        url = urlsplit(request.path)
        if "/timelines/" not in url.path:
            return None
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.asked.append(query)
        shown = [each for each in self.posts if self.lies(each["id"], query)]
        chosen = shown[:PAGE] if "min_id" in query else shown[-PAGE:]
        return page(json.dumps(chosen[::-1]).encode(), 200)

    def lies(self, found: str, query: dict[str, str]) -> bool:
        key: Callable[[str], object] = int if self.kind in ("numbers", "pixelfed") else str
        above, below = query.get("min_id"), query.get("max_id")
        return (above is None or key(found) > key(above)) and (below is None or key(found) < key(below))


@dataclass
class Case:
    url: str
    server: Server
    lines: list[str] = field(default_factory=list)
    timer: float = 5000.0

    def timeline(self, since: int | None = None) -> Timeline:
        """Return a timeline as a new process has it."""
        return Timeline(Instance(self.url), "public", Writer(self.url), Memory(), since=since, say=self.lines.append,
                        clock=lambda: NOW / SECOND, timer=lambda: self.timer)  # fmt: skip


@pytest.fixture(params=KINDS)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    with running(Community(count=1, limit=100_000)) as (url, double):
        server = Server(request.param, 130)
        double.proxy = server.answer
        yield Case(url, server)


def numbers(items: list) -> list[int]:
    return [int(json.loads(each.value)["id"].rpartition("/")[2]) for each in items if isinstance(each, Event)]


def test_a_restart_reads_what_came_meanwhile_once_and_in_order(case: Case) -> None:
    line = case.timeline()
    place = NOW - 90 * MINUTE
    items = list(line.begin(Cursor(line.place, place, place, places={line.place: place})))
    found = numbers(items)
    assert found == list(range(130 - 90 - 11, 130))  # from ten minutes before the place on
    seen = [each.seen for each in items[1:] if isinstance(each, Event | Mark)]
    assert seen == sorted(seen)  # a crash in the middle resumes there
    assert seen[-1] == NOW
    assert len(case.lines) == 1 and "its ids are not Mastodon's" in case.lines[0]


def test_it_goes_on_by_the_ids_that_it_saw(case: Case) -> None:
    line = case.timeline()
    assert numbers(list(line.begin(None))) == list(range(130 - PAGE, 130))
    case.server.posts.append(case.server.post(130))
    assert numbers(list(line.forward())) == [130]
    assert case.server.asked[-1]["min_id"] == case.server.posts[-2]["id"]


def test_since_reaches_beyond_the_newest_page_and_the_beginning(case: Case) -> None:
    assert numbers(list(case.timeline(NOW - 60 * MINUTE).begin(None))) == list(range(69, 130))
    assert numbers(list(case.timeline(NOW - 999 * MINUTE).begin(None))) == list(range(130))


def test_the_last_minutes_are_read_again_without_losing_the_place(case: Case) -> None:
    line = case.timeline()
    list(line.begin(None))
    case.timer += REREAD_EVERY
    again = numbers(list(line.reread()))
    assert again[-11:] == list(range(119, 130))
    assert len(again) == PAGE  # one page is enough
    assert numbers(list(line.forward())) == []


def test_a_timeline_that_was_empty_is_read_from_its_first_post_on(case: Case) -> None:
    posts, case.server.posts = case.server.posts[-3:], []
    line = case.timeline(NOW - 5 * MINUTE)
    list(line.begin(None))
    case.server.posts = posts
    case.timer += REREAD_EVERY
    assert set(numbers([*line.forward(), *line.reread(), *line.forward()])) == {127, 128, 129}


def test_ids_are_recognised_by_the_times_of_their_posts() -> None:
    for kind in KINDS:
        assert are_times(Server(kind, 3).posts) is False
    mastodon = status(id=str((NOW // 1000 << 16) + 5), created_at=datetime.fromtimestamp(NOW / SECOND, UTC).isoformat())
    assert are_times([mastodon]) is True
    assert are_times([]) is are_times([{"id": "5"}, 7, {"created_at": "x"}]) is None
    assert created({"created_at": "9999-99-99"}, 7) == created(None, 7) == 7
