"""The Mastodon adapter against its double, over a real socket, through every fault: nothing lost, nothing twice."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from millrace.errors import ConfigError
from millrace.ingest.events import Cursor, DeadLetter, Event, Gap
from millrace.ingest.mastodon import pages, timeline
from millrace.ingest.mastodon.feed import feed
from millrace.ingest.mastodon.memory import Memory
from millrace.ingest.mastodon.plan import Plan
from millrace.ingest.run import Loop, Options
from millrace.ingest.values import cursor_value, read_cursor
from millrace.simulate.community import Community, Posts
from millrace.simulate.instance import Instance
from millrace.simulate.mastodon import running
from millrace.simulate.truth import fold

RECORDED = Path(__file__).parents[3] / "shared" / "data" / "mastodon-statuses.jsonl"  # real ones, where at hand
FAST = {"every": 0.05, "since": 3600.0, "timeout": 2.0}


class Sink:
    """Keeps what it is given, also from one run to the next."""

    def __init__(self) -> None:
        self.items: list[Event | DeadLetter | Gap] = []
        self.committed: Cursor | None = None

    def open(self, cursor: Cursor | None = None) -> Cursor | None:
        return cursor or self.committed

    def recent(self, limit: int) -> list[str]:
        return [item.event_id for item in self.items if isinstance(item, Event)]

    def write(self, items: Sequence[Event | DeadLetter | Gap], cursor: Cursor) -> None:
        self.items += items
        self.committed = read_cursor(cursor_value(cursor))

    def close(self) -> None:
        pass

    def posts(self, operation: str = "create") -> list[dict]:
        values = [json.loads(item.value) for item in list(self.items) if isinstance(item, Event)]
        return [value for value in values if value["operation"] == operation]

    def ids(self, operation: str = "create") -> Counter[str]:
        return Counter(post["id"] for post in self.posts(operation))


@dataclass
class Run:
    """One run of the loop in a thread of its own."""

    plan: Plan
    sink: Sink = field(default_factory=Sink)
    token: str | None = None
    watchdog: float = 60.0
    memories: dict[str, Memory] | None = None

    def __post_init__(self) -> None:
        self.lines: list[str] = []
        self.stop = threading.Event()
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        made = feed(self.plan, self.token, memories=self.memories, say=self.lines.append)
        loop = Loop(made, self.sink, Options(watchdog=self.watchdog), stop=self.stop, say=self.lines.append)
        try:
            self.counts = loop.run()
        except ConfigError as error:
            self.error = error

    def until(self, condition: Callable[[], object], deadline: float = 60) -> None:
        end = time.monotonic() + deadline
        while not condition():
            assert time.monotonic() < end and self.thread.is_alive(), (self.lines[-20:], self.error)
            time.sleep(0.02)

    def end(self) -> None:
        self.stop.set()
        self.thread.join(15)
        assert not self.thread.is_alive()


@pytest.fixture
def start() -> Iterator[Callable[..., Run]]:
    """Start runs that do not outlive the test."""
    started: list[Run] = []

    def begin(*urls: str, sink: Sink | None = None, **options: object) -> Run:
        run = {name: options.pop(name) for name in ("token", "watchdog", "memories") if name in options}
        whole = Plan(tuple(urls), **{**FAST, **options})
        started.append(Run(whole, sink or Sink(), **run))
        return started[-1]

    yield begin
    for each in started:
        each.end()


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline, "REREAD_EVERY", 0.3)
    monkeypatch.setattr(pages, "TICK", 0.02)


def community(**values: object) -> Community:
    """Posts of 25 s, in little more than one."""
    return Community(
        **{**{"seed": 3, "rate": 20, "count": 500, "speed": 20, "limit": 100_000, "edited": 0.0}, **values}
    )


def with_edits(run: Run) -> set[str]:
    """The posts whose edit was read: by itself or, on a slow machine, with the first reading of the post."""
    at_once = {post["id"] for post in run.sink.posts("create") if post["text"].endswith("edited")}
    return at_once | set(run.sink.ids("update"))


def right(sent: Community, tag: str = "") -> set[str]:
    posts = map(Posts(sent).at, range(sent.count or 0))
    return {post.uri for post in posts if not post.broken and (not tag or post.has(fold(tag)))}


def exactly(run: Run, uris: set[str], deadline: float = 60) -> None:
    """Wait until all is there, end the run, and find every post once."""
    run.until(lambda: set(run.sink.ids()) >= uris, deadline)
    run.end()
    assert run.sink.ids() == Counter(uris)
    assert [item for item in run.sink.items if isinstance(item, Gap)] == []


@contextmanager
def doubles(*communities: Community) -> Iterator[list[tuple[str, Instance]]]:
    with ExitStack() as stack:
        yield [stack.enter_context(running(each)) for each in communities]


def test_polling_finds_every_post_once_also_those_that_come_late(start) -> None:
    sent = community(delayed=0.2)
    with running(sent) as (url, instance):
        exactly(start(url), right(sent))
    assert instance.calls["forbidden"] == 0


def test_a_burst_of_many_pages_leaves_no_hole(start) -> None:
    sent = community(speed=0)
    with running(sent) as (url, _):
        exactly(start(url), right(sent))


def test_it_begins_with_the_newest_page(start) -> None:
    sent = community(speed=0)
    with running(sent) as (url, _):
        run = start(url, since=None)
        run.until(lambda: len(run.sink.ids()) >= 40)
        run.end()
    newest = sorted(map(Posts(sent).at, range(500)), key=lambda post: post.id)[-40:]
    assert set(run.sink.ids()) == {post.uri for post in newest}


def test_tags_are_timelines_of_their_own(start) -> None:
    sent = community(tagged=0.9)
    with running(sent) as (url, _):
        exactly(start(url, tags=("NowPlaying", "日本")), right(sent, "nowplaying") | right(sent, "日本"))


def test_several_instances_give_one_post_per_uri(start) -> None:
    sent = community(count=300, start=datetime.now(UTC) - timedelta(seconds=15))
    with doubles(sent, replace(sent, site=1)) as ((one, first), (two, second)):
        run = start(one, two)
        run.until(lambda: all(sum(each.calls.values()) for each in (first, second)))  # whoever is first has its posts
        exactly(run, right(sent))


@pytest.mark.parametrize(
    "fault",
    [{"too_many": 0.1}, {"broken_answers": 0.1}, {"unauthorized": 0.05}, {"empty": 0.3},
     {"duplicates": 0.4, "reorder": True}],
    ids=lambda fault: next(iter(fault)),
)  # fmt: skip
def test_faults_of_answers_lose_and_double_nothing(fault: dict, start) -> None:
    sent = community(**fault, count=300)
    wanted = {"too_many": "429", "broken_answers": "500", "unauthorized": "401", "empty": "emptied"}
    with running(sent) as (url, instance):
        run = start(url, every=0.2)
        run.until(lambda: all(instance.calls[wanted[name]] for name in fault if name in wanted))
        exactly(run, right(sent), 120)
    assert instance.calls["forbidden"] == 0


def test_the_limit_is_never_exceeded(start) -> None:
    sent = community(count=500, rate=40, limit=12, period=1.5)
    with running(sent) as (url, instance):
        exactly(start(url), right(sent), 60)
    assert instance.calls["forbidden"] == instance.calls["429"] == 0


def test_a_restart_goes_on_where_it_was(start) -> None:
    sent, sink = community(), Sink()
    with running(sent) as (url, _):
        for share in (150, 350):
            run = start(url, sink=sink)
            run.until(lambda share=share: len(sink.ids()) >= share)
            run.end()
        exactly(start(url, sink=sink, since=None), right(sent))
    assert sink.committed is not None
    assert list(sink.committed.places) == [f"{url}/api/v1/timelines/public"]


@pytest.mark.parametrize("fault", [{}, {"drop_every": 90}, {"silent_after": 150}, {"duplicates": 0.3}])
def test_streaming_catches_up_after_each_reconnect(fault: dict, start) -> None:
    sent = community(**fault)
    with running(sent) as (url, _):
        run = start(url, stream="public", watchdog=1)
        exactly(run, right(sent))
    assert ("silent_after" not in fault) or any("silent for 1 s" in line for line in run.lines)


def test_the_stream_of_a_tag_in_any_script(start) -> None:
    sent = community(tagged=0.9)
    with running(sent) as (url, _):
        exactly(start(url, stream="hashtag", tags=("日本",)), right(sent, "日本"))


def test_edits_and_deletes_of_the_stream(start) -> None:
    sent = community(edited=0.3, deleted=0.3, count=100, delayed=0.0, speed=40)
    posts = [Posts(sent).at(index) for index in range(100)]
    with running(sent) as (url, _):
        run = start(url, stream="public", watchdog=30)
        edits = {post.uri for post in posts if post.edited < float("inf")}
        gone = {post.uri for post in posts if post.deleted < float("inf")}
        run.until(lambda: set(run.sink.ids("delete")) >= gone and with_edits(run) >= edits)
        exactly(run, right(sent))
    assert run.sink.ids("delete") == Counter(gone)
    assert with_edits(run) == edits and set(run.sink.ids("update").values()) <= {1}
    assert all(post["text"].endswith("edited") for post in run.sink.posts("update"))


def test_edits_and_deletes_are_seen_when_pages_are_read_again(start) -> None:
    """Where a post was edited before it was first read, on a slow machine, its first reading has the edit."""
    sent = community(edited=0.2, deleted=0.2, count=100, delayed=0.0, speed=10)
    posts = [Posts(sent).at(index) for index in range(100)]
    edits = {post.uri for post in posts if post.edited < min(post.deleted, float("inf"))}
    gone = {post.uri for post in posts if post.deleted < float("inf")}
    with running(sent) as (url, _):
        run = start(url)
        run.until(lambda: set(run.sink.ids("delete")) >= gone and with_edits(run) >= edits)
        exactly(run, right(sent))
    assert run.sink.ids("delete") == Counter(gone)


def test_what_was_deleted_while_the_stream_was_lost_is_found(start) -> None:
    sent = community(deleted=0.4, count=200, delayed=0.0, drop_every=40)
    with running(sent) as (url, _):
        run = start(url, stream="public", watchdog=30)
        gone = {post.uri for post in map(Posts(sent).at, range(200)) if post.deleted < float("inf")}
        run.until(lambda: set(run.sink.ids("delete")) >= gone)
        exactly(run, right(sent))
    assert run.sink.ids("delete") == Counter(gone)


@pytest.mark.parametrize("stream", [None, "public"])
def test_all_faults_at_once(stream: str | None, start) -> None:
    faults = {"too_many": 0.02, "broken_answers": 0.05, "unauthorized": 0.02, "empty": 0.1, "stalled": 0.03}
    sent = community(**faults, duplicates=0.3, reorder=True, delayed=0.2, drop_every=90, silent_after=100, count=200)
    with running(sent) as (url, instance):
        exactly(start(url, stream=stream, every=0.2, timeout=0.5, watchdog=2), right(sent), 120)
    assert instance.calls["forbidden"] == 0


def test_what_was_known_before_is_revisited_and_its_end_is_told(start) -> None:
    """Posts of long ago, which no page shows again: a restart has them from Kafka."""
    sent = community(speed=0, count=60, rate=0.1)
    posts = [post for post in map(Posts(sent).at, range(20)) if not post.broken]
    with running(sent) as (url, instance):
        memory, now = Memory((900.0,)), int(time.time() * 1e6)
        for post in posts:
            memory.add(str(post.id), post.uri, now - 899_000_000, now)
        memory.add("5", "https://mill.example/gone", now - 899_000_000, now)
        run = start(url, since=None, memories={url: memory})
        run.until(lambda: len(run.sink.ids("metrics")) == len(posts) and run.sink.ids("delete"))
        run.end()
    assert run.sink.ids("metrics") == Counter(post.uri for post in posts)
    assert run.sink.ids("delete") == Counter({"https://mill.example/gone": 1})
    assert instance.calls["forbidden"] == 0


def test_revisits_publish_growing_counters(start) -> None:
    sent = community(count=200)
    with running(sent) as (url, _):
        run = start(url, revisit=(0.2, 3.0))
        run.until(lambda: sum(run.sink.ids("metrics").values()) >= 400)
        run.end()
    assert set(run.sink.ids("metrics").values()) == {2}
    first = {post["id"]: post["favourites"] for post in run.sink.posts()}
    assert any(post["favourites"] > first[post["id"]] for post in run.sink.posts("metrics"))


def test_broken_statuses_are_dead_letters_once(start) -> None:
    sent = community(malformed=0.1, count=200)
    with running(sent) as (url, _):
        run = start(url)
        exactly(run, right(sent))
    letters = [item for item in run.sink.items if isinstance(item, DeadLetter)]
    broken = sum(post.broken for post in map(Posts(sent).at, range(200)))
    assert len(letters) == broken > 5
    assert all("uri" in letter.reason for letter in letters)


@pytest.mark.parametrize("stream", [None, "public"])
def test_a_bad_token_is_one_clear_end(stream: str | None, start) -> None:
    with running(community(token="right")) as (url, _):
        run = start(url, token="wrong-secret", stream=stream)
        run.thread.join(30)
        assert not run.thread.is_alive()
        good = start(url, token="right")
        good.until(good.sink.ids)
    assert isinstance(run.error, ConfigError)
    assert "access token is not accepted" in str(run.error)
    assert "secret" not in "".join(run.lines) + str(run.error)
    assert len(run.lines) < 8


def test_the_token_is_shown_to_the_first_instance_alone(start) -> None:
    with doubles(community(token="hush", count=50), community(token="hush", count=60)) as ((one, _), (two, other)):
        run = start(one, two, token="hush")
        run.until(lambda: len(run.sink.ids()) == 50 and any("needs an access token" in line for line in run.lines))
    assert set(other.calls) == {"401"}


def test_a_closed_feed_is_said_and_other_instances_go_on(start) -> None:
    with doubles(community(closed=True), community(count=100)) as ((closed, _), (open_, _)):
        run = start(closed, open_)
        run.until(lambda: len(run.sink.ids()) == 100)
        assert run.error is None
        alone = start(closed)
        alone.thread.join(20)
    assert "is closed" in str(alone.error)
    assert sum("is closed" in line for line in run.lines) == 1


def test_an_empty_feed_is_said_once(start) -> None:
    with running(community(count=0)) as (url, _):
        run = start(url, since=None)
        run.until(lambda: any("is empty" in line for line in run.lines))
        run.end()
    assert sum("is empty" in line for line in run.lines) == 1


def test_an_instance_that_is_away_is_tried_again(start) -> None:
    with running(community(count=50)) as (url, _):
        port = int(url.rpartition(":")[2])
    run = start(url)
    run.until(lambda: any("connection refused; next attempt" in line for line in run.lines))
    sent = community(count=50)
    with running(sent, port=port) as (url, _):
        exactly(run, right(sent))


def test_a_stalled_answer_does_not_hold_it_up(start) -> None:
    sent = community(count=200, stalled=0.3)
    with running(sent) as (url, instance):
        run = start(url, timeout=0.3)
        exactly(run, right(sent))
    assert instance.calls["stalled"]


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded statuses are not here")
def test_recorded_statuses_field_by_field(start) -> None:
    recorded = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    with running(community(count=0), recorded) as (url, _):
        run = start(url, since=None, visibilities=frozenset({"public", "unlisted"}), keep_raw=True)
        run.until(lambda: len(run.sink.ids()) == len(recorded))
        run.end()
    found = {post["source_id"]: post for post in run.sink.posts()}
    texts = {"109348677773283527": "edited", "108914327388663283": "@disarray glad i was able to help"}
    for sent in recorded:
        post = found[sent["id"]]
        assert json.loads(post["raw"]) == sent
        assert post["text"] == texts.get(sent["id"], post["text"])
        compare(sent, post)
    assert {post["source_id"] for post in run.sink.posts("update")} == {s["id"] for s in recorded if s.get("edited_at")}


def compare(sent: dict, post: dict) -> None:
    """Each field of the post against the status's."""
    account = sent["account"]
    assert (post["id"], post["event_id"]) == (sent["uri"], f"{sent['uri']}/create")
    assert datetime.fromisoformat(post["event_time"]) == datetime.fromisoformat(sent["created_at"])
    assert datetime.fromisoformat(post["created_at"]) == datetime.fromisoformat(sent["created_at"])
    author = {"id": account["url"], "username": account["username"], "name": account["display_name"]}
    assert post["author"] == author | {"bot": account["bot"]}
    assert (post["language"], post["visibility"], post["url"]) == (sent["language"], sent["visibility"], sent["url"])
    counters = ("replies_count", "reblogs_count", "favourites_count")
    assert [post[name.removesuffix("_count")] for name in counters] == [sent[name] for name in counters]
    assert post["hashtags"] == [tag["name"].casefold() for tag in sent["tags"]]
    assert not set("<>") & set(post["text"])
    assert (post["source"], post["operation"]) == ("mastodon", "create")
