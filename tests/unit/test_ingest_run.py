"""The loop and its reader with feeds and clocks that are data in the test."""

import signal
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as reference

from millrace.errors import Unavailable
from millrace.ingest.backoff import Backoff
from millrace.ingest.buffer import Buffer, Window
from millrace.ingest.counts import Counts, serve
from millrace.ingest.events import SECOND, Connected, Cursor, DeadLetter, Event, Feed, Gap, Mark, Stream
from millrace.ingest.partition import murmur2, partition
from millrace.ingest.reader import Reader
from millrace.ingest.resumption import REWIND, REWIND_ELSEWHERE, start
from millrace.ingest.run import Loop, Options, run
from millrace.ingest.values import cursor_value, read_cursor
from millrace.kafka.topics import BLUESKY

T0 = 1_783_175_900 * SECOND
HOST, OTHER = "ws://one", "ws://two"


def event(name: str, position: int, seen: int | None = None, size: int = 2) -> Event:
    return Event("t", name.encode(), b"x" * size, T0, name, position, position if seen is None else seen)


def letter(name: str = "", position: int | None = None) -> DeadLetter:
    return DeadLetter.of(name.encode(), "bad", position)


class Scripted:
    """A feed whose connections yield what the test wrote; an exception in the script is raised there."""

    def __init__(self, *connections: Sequence[object], hosts: tuple[str, ...] = (HOST,), **traits: bool) -> None:
        self.script, self.asked = list(connections), []
        self.feed = Feed("test", BLUESKY, hosts, self.connect, **traits)
        self.over = threading.Event()

    def connect(self, host: str, cursor: Cursor | None) -> Stream:
        self.asked.append((host, cursor.position if cursor else None))
        for item in self.script.pop(0) if self.script else [Unavailable("over")]:
            if isinstance(item, Exception):
                self.over.set() if not self.script else None
                raise item
            yield item
        self.over.set() if not self.script else None


class Clock:
    """A clock that a test steps; read as `clock()`."""

    def __init__(self, now: float = T0 / SECOND) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def follow(script: Scripted, cursor: Cursor | None = None, buffer: Buffer | None = None) -> tuple[list, list[str]]:
    """Run a reader through all connections of the script; return what is in the buffer, and its lines."""
    lines: list[str] = []
    buffer, stop = buffer or Buffer(), threading.Event()
    reader = Reader(
        script.feed, buffer, cursor, stop=stop, say=lines.append, clock=Clock(), backoff=Backoff(draw=lambda: 0.0)
    )
    reader.start()
    assert script.over.wait(20)
    stop.set()
    reader.join(20)
    assert not reader.is_alive()
    return buffer.take(10_000), lines


def test_backoff_grows_to_its_cap_and_starts_over_when_healthy() -> None:
    clock = Clock(0)
    backoff = Backoff(clock, draw=lambda: 1.0)
    assert [backoff.delay() for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    backoff.connected()
    clock.now = 59
    assert backoff.delay() == 30
    backoff.connected()
    clock.now += 60
    assert backoff.delay() == 0.5


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=20))
def test_jitter_is_full(draws: list[float]) -> None:
    waiting = iter(draws)
    delays = [Backoff(draw=lambda: next(waiting)).delay() for _ in draws]
    assert delays == [0.5 * draw for draw in draws]


def test_the_watchdog_gives_a_silent_connection_up() -> None:
    timer = Clock(0)

    def silent(host: str, cursor: Cursor | None) -> Stream:
        for second in (0, 0, 30, 60, 61):
            timer.now = second
            yield None
        raise AssertionError("read on after 61 s of silence")

    feed = Feed("test", BLUESKY, (HOST,), silent)
    reader = Reader(feed, Buffer(), None, stop=threading.Event(), say=print, watchdog=60, timer=timer)
    with pytest.raises(Unavailable, match="silent for 60 s"):
        reader.follow(HOST)


def test_items_feed_the_watchdog() -> None:
    timer = Clock(0)

    def slow(host: str, cursor: Cursor | None) -> Stream:
        for second, item in enumerate([None, None, Mark(1, 1), None, Mark(2, 2), None]):
            timer.now = second * 50
            yield item

    feed = Feed("test", BLUESKY, (HOST,), slow)
    Reader(feed, Buffer(), None, stop=threading.Event(), say=print, watchdog=60, timer=timer).follow(HOST)


def test_hosts_in_turn_and_one_that_delivered_again() -> None:
    gone = Unavailable("gone")
    script = Scripted([gone], [None, gone], [None, Mark(5, T0), gone], [gone], [gone], hosts=(HOST, OTHER))
    follow(script)
    assert [host for host, _ in script.asked][:5] == [HOST, OTHER, HOST, HOST, OTHER]


def test_a_defect_is_said_and_survived() -> None:
    script = Scripted([None, KeyError("x")], [None, Mark(1, T0)])
    entries, lines = follow(script)
    assert Mark(1, T0) in entries
    assert "KeyError" in lines[0]


def test_where_to_resume() -> None:
    feed = Scripted().feed
    timed, counted = Cursor(HOST, T0, T0), Cursor(HOST, 17, T0)
    assert start(feed, None, HOST) is None
    assert start(feed, timed, HOST).position == T0 - REWIND
    assert start(feed, timed, OTHER).position == T0 - REWIND_ELSEWHERE
    assert start(feed, counted, HOST).position == 17
    assert start(feed, counted, OTHER).position == T0 - REWIND_ELSEWHERE
    assert start(Scripted(by_time=False).feed, counted, OTHER) is None
    assert start(Scripted(replayable=False).feed, counted, HOST) is None
    assert start(feed, Cursor(HOST, T0, 0), HOST).position == T0  # named by the user


def test_a_reconnect_resumes_after_what_was_read() -> None:
    script = Scripted([None, event("a", 7, T0), Unavailable("gone")], [None, event("a", 7, T0), event("b", 8, T0)])
    entries, _ = follow(script)
    assert script.asked[:2] == [(HOST, None), (HOST, 7)]
    assert [entry for entry in entries if isinstance(entry, Gap)] == []


def test_what_the_server_no_longer_replays_is_a_gap() -> None:
    script = Scripted([None, letter("x"), event("late", 99, T0 + 5)])
    entries, _ = follow(script, Cursor(HOST, 7, T0))
    assert entries[1] == Gap("test", HOST, T0, T0 + 5, "the server no longer replays from the cursor")
    assert (entries[2].head, entries[2].position) == (b"x", 7)


def test_another_host_may_have_seen_what_this_one_does_not_replay() -> None:
    script = Scripted([None, letter("old"), event("a", 3, T0 - 5), event("b", 4, T0 + 5)])
    entries, _ = follow(script, Cursor(OTHER, 7, T0))
    missing = Gap("test", HOST, T0 - REWIND_ELSEWHERE, T0, f"the host before was {OTHER}")
    assert [entry for entry in entries if isinstance(entry, Gap | DeadLetter)] == [missing]
    script = Scripted([None, event("a", 3, T0 - 5)], at_once=True)  # there, whose cursor it is says nothing
    entries, _ = follow(script, Cursor(OTHER, 7, T0))
    assert gaps(entries) == []


def test_a_chosen_time_that_the_server_does_not_reach_is_a_gap() -> None:
    for seconds, expected in ((9, []), (11, [(0, 11, "the server no longer replays from the cursor")])):
        entries, _ = follow(Scripted([None, event("a", 3, T0 + seconds * SECOND)]), Cursor(HOST, T0, 0))
        assert gaps(entries) == expected
    entries, _ = follow(Scripted([None, event("a", 3, T0)]), Cursor(HOST, 2, 0))
    assert gaps(entries) == []


def test_bad_frames_before_the_cursors_own_event_were_seen_before() -> None:
    script = Scripted([None, letter("old"), letter("placed", 5), event("a", 7, T0), letter("new")])
    entries, _ = follow(script, Cursor(HOST, 7, T0))
    assert [(e.head, e.position) for e in entries if isinstance(e, DeadLetter)] == [(b"placed", 5), (b"new", 7)]


def gaps(entries: list) -> list[tuple[int, int, str]]:
    """Return the gaps of HOST: seconds after T0 of start and end, reason."""
    found = [entry for entry in entries if isinstance(entry, Gap)]
    assert {(gap.source, gap.host) for gap in found} <= {("test", HOST)}
    return [((gap.start - T0) // SECOND, (gap.end - T0) // SECOND, gap.reason) for gap in found]


def test_a_feed_without_replay_leaves_a_gap_for_every_connection() -> None:
    earlier = T0 - 60 * SECOND
    script = Scripted(
        [None, letter("bad"), event("a", 1, earlier), Unavailable("gone")],
        [None, Unavailable("gone")],
        [None, event("b", 2, T0)],
        replayable=False,
    )
    entries, _ = follow(script)
    lost = (-62, 2, "the feed cannot replay")  # nothing came on the second connection: both gaps reach back as far
    assert gaps(entries) == [(0, 2, "subscribed"), lost, lost]
    assert [type(entry) for entry in entries[:4]] == [Connected, Gap, DeadLetter, Event]
    assert [type(entry) for entry in entries[-3:]] == [Connected, Gap, Event]


def test_a_mark_shortens_the_gap_and_what_is_dated_ahead_does_not_turn_it_round() -> None:
    script = Scripted([None, Mark(2, T0 - 10 * SECOND), Unavailable("gone")], [None], replayable=False)
    entries, _ = follow(script, Cursor(HOST, 1, T0 - 3600 * SECOND))
    assert gaps(entries) == [(-3602, 2, "the feed cannot replay"), (-12, 2, "the feed cannot replay")]
    entries, _ = follow(Scripted([None], replayable=False), Cursor(HOST, 1, T0 + 200 * SECOND))
    assert gaps(entries) == [(-2, 2, "the feed cannot replay")]


def test_an_event_dated_in_the_future_moves_no_cursor() -> None:
    cursor = Cursor(HOST, T0, T0)
    cursor.advance(HOST, event("future", T0 + 10**15), T0)
    assert (cursor.position, cursor.seen) == (T0, T0)
    cursor.advance(HOST, event("back", T0 - 30_000), T0)
    assert (cursor.position, cursor.seen) == (T0, T0)
    cursor.advance(HOST, event("on", T0 + 1), T0)
    assert (cursor.position, cursor.ids, cursor.kind) == (T0 + 1, ["on"], "time")
    cursor.advance(OTHER, event("counted", 17, T0 + 10**15), T0)
    assert (cursor.host, cursor.position, cursor.seen, cursor.kind) == (OTHER, 17, T0 + 1, "sequence")


def test_cursors_read_back_equal() -> None:
    cursor = Cursor(HOST, 17, T0, ["a", "é"], 3, "me")
    assert read_cursor(cursor_value(cursor)) == cursor


def test_the_buffer_is_bounded_in_items_and_bytes() -> None:
    few, small = Buffer(items=3), Buffer(size=100)
    assert [few.put(Mark(1, 1)) for _ in range(4)] == [True, True, True, False]
    assert [small.put(event("a", 1, size=60)) for _ in range(3)] == [True, True, False]
    assert len(few.take(2)) == 2
    assert few.put(Mark(1, 1))
    assert len(small.take(9)) == 2
    assert small.put(event("a", 1, size=60))


def test_a_full_buffer_holds_the_feed_back() -> None:
    buffer, script = Buffer(items=5), Scripted([None, *(event(str(n), n, T0) for n in range(50))])
    stop = threading.Event()
    reader = Reader(script.feed, buffer, None, stop=stop, say=print)
    reader.start()
    found: list = []
    deadline = time.monotonic() + 20
    while len(found) < 51 and time.monotonic() < deadline:
        assert len(buffer) <= 5
        found += buffer.take(2)
    stop.set()
    reader.join(20)
    assert [entry.position for entry in found if isinstance(entry, Event)] == list(range(50))


def test_a_full_buffer_of_a_feed_without_replay_drops_and_says_so() -> None:
    buffer, clock = Buffer(items=3), Clock()
    feed = Feed("test", BLUESKY, (HOST,), lambda *_: iter(()), replayable=False)
    reader = Reader(feed, buffer, None, stop=threading.Event(), say=print, clock=clock)
    for number in range(5):
        reader._put(event(str(number), number, T0))
    clock.now += 4
    assert [entry.event_id for entry in buffer.take(9)] == ["0", "1", "2"]
    reader._put(event("after", 9, T0))
    gap, after = buffer.take(9)
    assert gap == Gap("test", HOST, T0 - 2 * SECOND, T0 + 4 * SECOND, "the buffer was full")
    assert after.event_id == "after"


def test_a_gap_that_a_full_buffer_has_no_room_for_is_not_lost() -> None:
    buffer, clock = Buffer(items=2), Clock()
    feed = Feed("test", BLUESKY, (HOST,), lambda *_: iter(()), replayable=False)
    reader = Reader(feed, buffer, None, stop=threading.Event(), say=print, clock=clock)
    for entry in (Mark(1, T0), Mark(2, T0), event("lost", 3, T0), Gap("test", HOST, T0 - 99 * SECOND, T0, "why")):
        reader._put(entry)
    buffer.take(1)
    reader._put(event("lost, too", 4, T0))  # the gap takes the one place
    clock.now += 1
    assert gaps(buffer.take(2)) == [(-99, 0, "the buffer was full")]
    reader._put(event("after", 5, T0))
    assert gaps(buffer.take(9)) == [(-2, 1, "the buffer was full")]


def test_the_window_forgets_the_oldest() -> None:
    window = Window(["a", "b"], limit=3)
    assert [window.add(name) for name in ("a", "c", "c", "d", "b", "a")] == [False, True, False, True, False, True]


class Memory:
    """A sink that keeps what it is given."""

    def __init__(self, committed: Cursor | None = None, ids: Sequence[str] = ()) -> None:
        self.committed, self.ids, self.items, self.closed = committed, list(ids), [], False

    def open(self, cursor: Cursor | None = None) -> Cursor | None:
        return cursor or self.committed

    def recent(self, limit: int) -> list[str]:
        return self.ids

    def write(self, items: Sequence[object], cursor: Cursor) -> None:
        self.items += items
        self.committed = read_cursor(cursor_value(cursor))

    def close(self) -> None:
        self.closed = True


def carried(script: Scripted, sink: Memory, **options: object) -> tuple[Counts, list[str]]:
    lines: list[str] = []
    loop = Loop(script.feed, sink, Options(**options), stop=threading.Event(), say=lines.append)
    return loop.run(), lines


def test_the_loop_drops_what_came_before_and_ends_at_its_limit() -> None:
    items = [event(name, number, T0) for number, name in enumerate("abacbde", 1)]
    sink = Memory(ids=["c"])
    counts, lines = carried(Scripted([None, *items]), sink, limit=3)
    assert [item.event_id for item in sink.items] == ["a", "b", "d"]
    assert (counts.events, counts.duplicates) == (3, 3)
    assert (sink.committed.position, sink.committed.host) == (6, HOST)
    assert sink.closed
    assert "ready" in lines


def test_a_gap_is_committed_before_what_comes_after_it() -> None:
    class Commits(Memory):
        def __init__(self) -> None:
            super().__init__()
            self.batches: list[tuple[str, int]] = []

        def write(self, items: Sequence[object], cursor: Cursor) -> None:
            self.batches.append(("".join(type(item).__name__[0] for item in items), cursor.position))

    sink, gap = Commits(), Gap("test", HOST, T0, T0, "why")
    items = [event("a", 1, T0), gap, event("b", 2, T0), event("c", 3, T0), gap, gap, event("d", 4, T0)]
    carried(Scripted([None, *items]), sink, limit=4)
    parts = [batch for batch in sink.batches if batch[0]]
    # the reader may be slower than the loop, which then commits more often
    assert "".join(letters for letters, _ in parts) == "EGEEGGE"
    assert all("G" not in letters[:-1] for letters, _ in parts)
    assert [position for letters, position in parts if letters.endswith("G")] == [1, 3, 3]


def test_the_ids_at_the_cursor_are_not_written_again() -> None:
    sink = Memory(Cursor(HOST, 7, T0, ["a"]))
    carried(Scripted([None, event("a", 7, T0), event("b", 7, T0)]), sink, limit=1)
    assert [item.event_id for item in sink.items] == ["b"]
    assert sink.committed.ids == ["a", "b"]


def test_the_loop_ends_after_its_seconds() -> None:
    counts, lines = carried(Scripted(*[[Unavailable("refused")]] * 3), Memory(), seconds=0.5)
    assert counts.events == 0
    assert any("refused; next attempt in" in line for line in lines)


def test_a_signal_flushes_what_was_read() -> None:
    sink, stop = Memory(), threading.Event()

    def stream(host: str, cursor: Cursor | None) -> Iterator:
        yield None
        yield from (event(str(number), number, T0) for number in range(100))
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
        while not stop.wait(0.01):
            yield None

    before = signal.getsignal(signal.SIGTERM)
    counts = run(Feed("test", BLUESKY, (HOST,), stream), sink, Options(), stop=stop, say=lambda _: None)
    assert counts.events == len(sink.items) == 100
    assert signal.getsignal(signal.SIGTERM) is before


@given(st.binary(max_size=80))
def test_partitions_are_those_of_every_other_client(key: bytes) -> None:
    assert murmur2(key) == reference(key)
    assert partition(key, 3) == (reference(key) & 0x7FFFFFFF) % 3


def test_metrics_are_served_on_the_loopback_address() -> None:
    import socket
    import urllib.request

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server, thread = serve("test", Counts(events=5, behind=1.5), port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    server.shutdown()
    server.server_close()
    thread.join()
    assert 'millrace_ingest_events_total{feed="test"} 5.0' in text
    assert 'millrace_ingest_behind{feed="test"} 1.5' in text
