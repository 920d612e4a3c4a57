"""Jetstream frames of both wires, good, odd and hostile, to post.v1 or a bad record."""

import json
from pathlib import Path

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from millrace.errors import BadRecord, Unavailable
from millrace.ingest.bluesky import feed as bluesky
from millrace.ingest.bluesky.feed import V2_PATH, subscription
from millrace.ingest.bluesky.posts import parse
from millrace.ingest.events import AHEAD, Cursor, Event, Gap, Mark
from millrace.ingest.values import claimed, iso
from millrace.kafka import posts
from millrace.simulate import bluesky as double
from millrace.simulate.scenario import Scenario

RECORDED = Path(__file__).parents[2].parent / "shared" / "data" / "bluesky-frames.jsonl"
NOW = 1_783_175_900_000_000
DID, POST = "did:plc:wq4aajammjtxdomz3e23667t", "app.bsky.feed.post"


def frame(**changes: object) -> dict:
    """A v1 frame of a post; dotted names change what is deeper, `None` removes."""
    record = {"$type": POST, "text": "hello", "createdAt": "2026-07-04T14:38:07.323Z", "langs": ["de", "en"]}
    commit = {"rev": "3mptb", "operation": "create", "collection": POST, "rkey": "3mpta", "record": record}
    made: dict = {"did": DID, "time_us": NOW - 1, "kind": "commit", "commit": commit}
    for name, value in changes.items():
        *path, last = name.split("__")
        place = made
        for step in path:
            place = place[step]
        place[last] = value
        if value is None:
            del place[last]
    return made


def event(made: dict, keep_raw: bool = False) -> Event:
    found = parse(json.dumps(made).encode(), NOW, keep_raw)
    assert isinstance(found, Event)
    return found


def post(made: dict) -> dict:
    return json.loads(event(made).value)


def bad(made: object) -> str:
    data = made if isinstance(made, bytes) else json.dumps(made).encode()
    with pytest.raises(BadRecord) as raised:
        parse(data, NOW)
    return str(raised.value)


def test_a_create() -> None:
    found = event(frame())
    assert found.key == f"at://{DID}/{POST}/3mpta".encode()
    assert (found.event_id, found.event_time, found.position, found.seen) == (
        f"{DID}/3mpta/3mptb/create",
        NOW - 1,
        NOW - 1,
        NOW - 1,
    )
    assert json.loads(found.value) == {
        "id": found.key.decode(),
        "event_id": found.event_id,
        "source_id": "3mpta",
        "source": "bluesky",
        "instance": "bsky.network",
        "event_time": "2026-07-04T14:38:19.999999Z",
        "created_at": "2026-07-04T14:38:07.323000Z",
        "observed_at": "2026-07-04T14:38:20.000000Z",
        "author": {"id": DID, "username": None, "name": None, "bot": None},
        "text": "hello",
        "language": "de",
        "hashtags": [],
        "replies": None,
        "reblogs": None,
        "favourites": None,
        "visibility": "public",
        "url": f"https://bsky.app/profile/{DID}/post/3mpta",
        "operation": "create",
    }


def test_a_delete_has_no_record() -> None:
    found = post(frame(commit__record=None, commit__operation="delete"))
    assert (found["operation"], found["text"], found["hashtags"], found["created_at"]) == ("delete", "", [], None)


def test_an_edit_is_another_event_of_the_same_post() -> None:
    edit = frame(commit__operation="update", commit__rev="3z")
    assert event(edit).key == event(frame()).key
    assert event(edit).event_id != event(frame()).event_id


def test_the_sequence_number_is_the_position() -> None:
    assert event(frame(cursor=12345)).position == 12345
    assert event(frame(cursor=NOW)).position == NOW - 1  # no sequence number is that large


@pytest.mark.parametrize("kind", ["identity", "account", "something new"])
def test_other_kinds_move_the_cursor(kind: str) -> None:
    assert parse(json.dumps(frame(kind=kind, cursor=7)).encode(), NOW) == Mark(7, NOW - 1)


def test_other_collections_move_the_cursor() -> None:
    like = frame(commit__collection="app.bsky.feed.like", commit__record={"subject": {"text": 1}})
    assert parse(json.dumps(like).encode(), NOW) == Mark(NOW - 1, NOW - 1)


@pytest.mark.parametrize(
    ("record", "hashtags"),
    [
        ({"text": "x", "facets": [facet("IndieRebellion"), facet("Ａ")]}, ["indierebellion", "a"])
        for facet in [lambda tag: {"features": [{"$type": "app.bsky.richtext.facet#tag", "tag": tag}]}]
    ]
    + [
        ({"text": "x", "tags": ["#One", "one", "TWO"]}, ["one", "two"]),
        ({"text": "#text", "tags": ["markup"]}, ["markup"]),
        ({"text": "#text", "tags": [], "facets": []}, ["text"]),
        ({"text": "#text", "facets": [{"features": [{"$type": "app.bsky.richtext.facet#link"}]}]}, ["text"]),
        ({"text": "no tag", "facets": None, "tags": None}, []),
    ],
)
def test_hashtags(record: dict, hashtags: list[str]) -> None:
    assert post(frame(commit__record=record))["hashtags"] == hashtags


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"time_us": 1_783_175_900_000}, "before 2022"),
        ({"time_us": 0}, "before 2022"),
        ({"time_us": True}, "Expected `int`"),
        ({"time_us": "1"}, "Expected `int`"),
        ({"did": 17}, "Expected `str`"),
        ({"did": "did:plc:a b"}, "identifier"),
        ({"did": "plc"}, "identifier"),
        ({"kind": None}, "missing required field `kind`"),
        ({"commit": None}, "commit is missing"),
        ({"commit__operation": "destroy"}, "Invalid enum"),
        ({"commit__rkey": "a/b"}, "identifier"),
        ({"commit__record": None}, "Expected `object`"),
        ({"commit__rkey": "\0"}, "U+0000"),
        ({"commit__record__text": "x" * 960_000}, "larger than"),
    ],
)
def test_what_is_no_post(changes: dict, reason: str) -> None:
    assert reason in bad(frame(**changes))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"17",
        b'{"did":',
        b"\xff",
        json.dumps(frame(commit__record__text="@")).encode().replace(b"@", b"\\ud800"),
        json.dumps(frame(commit__record__text="@")).encode().replace(b"@", b"\xff"),
        json.dumps(frame(commit__record__x="@")).encode().replace(b'"@"', b"[" * 10_000 + b"]" * 10_000),
        json.dumps(frame(commit__record__x="@")).encode().replace(b'"@"', b"1e400"),
        json.dumps(frame(commit__record__x="@")).encode().replace(b'"@"', b"NaN"),
    ],
)
def test_what_is_no_frame(data: bytes) -> None:
    bad(data)


def test_backslashes_before_u0000_are_no_nul() -> None:
    assert post(frame(commit__record__text="\\u0000"))["text"] == "\\u0000"


def test_a_future_time_is_clamped() -> None:
    found = event(frame(time_us=NOW + 10 * 365 * 86_400_000_000))
    assert found.event_time == NOW + AHEAD
    assert json.loads(found.value)["event_time"] == iso(NOW + AHEAD)


@pytest.mark.parametrize("claim", [None, "", "yesterday", "0000-00-00T00:00:00Z", "2026-07-04T14:38:07+99:00"])
def test_a_claim_that_is_no_time_costs_no_post(claim: str | None) -> None:
    assert post(frame(commit__record__createdAt=claim))["created_at"] is None


def test_claims_are_normalised() -> None:
    assert claimed("1974-07-04T16:38:07.5+02:00") == "1974-07-04T14:38:07.500000Z"
    assert claimed("2036-01-01") == "2036-01-01T00:00:00.000000Z"


def test_raw_is_the_frame_itself() -> None:
    made = frame(commit__record__text='quote " \\ newline \n')
    assert json.loads(json.loads(event(made, keep_raw=True).value)["raw"]) == made


def v2(kind: str = "commit", **fields: object) -> bytes:
    record = {"text": "hello #x", "createdAt": "2026-07-04T14:38:07.323Z"}
    commit = {"rev": "3r", "operation": "create", "collection": POST, "rkey": "3k", "record": record}
    place = {"seq": 9, "did": DID, "time": "2026-07-04T14:38:08.085434Z"}
    payload = {"$type": f"network.bsky.jetstream.subscribeEvents#{kind}", **place, **commit, **fields}
    return json.dumps({"$type": "message", "payload": payload}).encode()


def test_the_second_wire() -> None:
    found = parse(v2(), NOW)
    assert isinstance(found, Event)
    assert (found.position, found.event_id, iso(found.seen)) == (
        9,
        f"{DID}/3k/3r/create",
        "2026-07-04T14:38:08.085434Z",
    )
    assert json.loads(found.value)["hashtags"] == ["x"]
    assert parse(v2("account"), NOW) == Mark(9, found.seen)
    assert parse(v2("info"), NOW) is None


def test_the_second_wire_refuses() -> None:
    bad(v2(time="soon"))
    bad(v2(time="2026-07-04T14:38:08"))
    bad({"$type": "message"})
    with pytest.raises(Unavailable, match="ConsumerTooSlow"):
        parse(b'{"$type":"error","error":"ConsumerTooSlow"}', NOW)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.sampled_from(["commit", POST]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
)
PLACES = st.sampled_from(
    ["did", "time_us", "kind", "cursor", "commit", "$type", "payload"]
    + [f"commit__{name}" for name in ("rev", "operation", "collection", "rkey", "record")]
    + [f"commit__record__{name}" for name in ("text", "langs", "facets", "tags", "createdAt")]
)


@given(PLACES, JSON)
@example("cursor", 2**70)
def test_hostile_json_is_an_event_or_a_bad_record(place: str, value: object) -> None:
    data = json.dumps(frame(**{place: value}), allow_nan=True).encode("utf-8", "surrogatepass")
    check(data)


@given(st.binary(max_size=60), st.integers(0, 300))
def test_hostile_bytes(piece: bytes, at: int) -> None:
    whole = json.dumps(frame()).encode()
    check(whole[:at] + piece + whole[at + len(piece) :])


def check(data: bytes) -> None:
    try:
        found = parse(data, NOW, keep_raw=True)
    except (BadRecord, Unavailable):
        return
    if isinstance(found, Event):
        assert posts.decode(found.value).event_id == found.event_id
        assert b"\n" not in found.value
        assert found.event_time <= NOW + AHEAD
        assert orjson.dumps(orjson.loads(found.value)) == found.value


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded frames are not here")
def test_recorded_frames() -> None:
    found = [parse(line, NOW) for line in RECORDED.read_bytes().splitlines()]
    assert sum(isinstance(item, Event) for item in found) == 9
    assert sum(isinstance(item, Mark) for item in found) == 81


def test_subscriptions() -> None:
    bare = "wss://jetstream1.us-east.bsky.network"
    assert subscription(bare, ["a.b", "c.*"], None) == f"{bare}/subscribe?wantedCollections=a.b&wantedCollections=c.%2A"
    assert subscription(bare + "/", ["a"], 5) == f"{bare}/subscribe?wantedCollections=a&cursor=5"
    assert subscription(f"{bare}{V2_PATH}", ["a"], 5) == f"{bare}{V2_PATH}?collections=a&cursor=5"
    assert subscription("ws://h:1/subscribe?x=1", [], 5) == "ws://h:1/subscribe?x=1&cursor=5"


def test_a_cursor_that_the_server_refuses_as_too_old_goes_by_time() -> None:
    sent = Scenario(count=200, rate=100, speed=0, lookback=0.5 / 3600, seed=3)
    with double.running(sent) as url:
        stream = bluesky.feed([url + V2_PATH]).connect(url + V2_PATH, Cursor(url, 1, sent.start_us))
        first = next(item for item in stream if item is not None)
        stream.close()
    assert isinstance(first, Event | Mark)
    assert first.position > 100


def test_a_chosen_cursor_that_the_server_refuses_as_too_old_leaves_a_gap() -> None:
    sent = Scenario(count=200, rate=100, speed=0, lookback=0.5 / 3600, seed=3)
    with double.running(sent) as url:
        stream = bluesky.feed([url + V2_PATH]).connect(url + V2_PATH, Cursor(url, 1, 0))
        first = next(item for item in stream if item is not None)
        stream.close()
    assert isinstance(first, Gap)
    assert first.start < sent.start_us < first.end
    assert first.reason == "the server does not have the chosen cursor"
