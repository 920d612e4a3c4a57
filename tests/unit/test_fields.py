"""A field that no post needs never costs one: each is broken in every way, for each provider."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.ingest.counts import Counts
from millrace.ingest.events import Event
from millrace.ingest.fields import Fields
from millrace.ingest.mastodon.statuses import Writer
from millrace.ingest.tweets import shapes
from millrace.kafka import posts, trades
from tests.unit import test_bluesky, test_mastodon, test_ticks, test_tweets

WRITER = Writer("https://one.example", keep_raw=True)
MISSING = object()
Make = Callable[[Any], Event]


def bluesky(document: Any) -> Event:
    return test_bluesky.event(document, keep_raw=True)


def mastodon(document: Any) -> Event:
    return WRITER.shown(document, test_mastodon.NOW)[0]


def finnhub(document: Any) -> Event:
    found = test_ticks.ticks().item(json.dumps(document).encode(), test_ticks.NOW)
    assert isinstance(found, Event), found
    return found


def tweets(document: Any) -> Event:
    return shapes.parse(json.dumps(document).encode(), test_tweets.NOW, shapes.Reading(keep_raw=True))


FEATURE = {"$type": "app.bsky.richtext.facet#tag", "tag": "x"}
FRAME = test_bluesky.frame(
    cursor=7, commit__record__tags=["a"], commit__record__facets=[{"index": {}, "features": [FEATURE]}]
)
STATUS = test_mastodon.status(edited_at="2026-07-04T14:38:10Z")
REQUIRED = {"did", "time_us", "kind", "commit", "rev", "operation", "collection", "rkey", "record", "id", "uri",
            "created_at", "s", "p", "t", "v"}  # fmt: skip
PROVIDERS: dict[str, tuple[Make, Any]] = {
    "bluesky": (bluesky, FRAME), "mastodon": (mastodon, STATUS), "finnhub": (finnhub, test_ticks.TRADE),
    "tweets of v1": (tweets, test_tweets.V1), "tweets of v2": (tweets, test_tweets.V2),
}  # fmt: skip


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a document but those that identify and date it."""
    inner = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in inner:
        if key not in REQUIRED or "account" in path:
            yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


TWEETS = {("id_str",), ("full_text",), ("data",), ("data", "text")}  # name a tweet, or are what it says
PLACES = [
    (name, path)
    for name, (_, document) in PROVIDERS.items()
    for path in places(document)
    if not (name.startswith("tweets") and path in TWEETS)
]
WAYS = [MISSING, None, True, 0, -1, 5, 12.5, 2**62, 2**70, 1e300, "", " ", "x", "\0", "12", "x\0y", "x" * 10_000,
        "é" * 10_000, "9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00", "0900-01-01T00:00:00Z",
        "2026-07-04T14:38:07", "en_US", [],
        [None], [5], ["a", None], [[]], [{}], {}, {"a": None}, {"features": None}, {"uri": ""}]  # fmt: skip
TEXTS = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=6,
)


def broken(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    made = deepcopy(document)
    place = made
    for step in path[:-1]:
        place = place[step]
    if value is MISSING:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return made


def check(name: str, path: tuple[Any, ...], value: Any) -> Event:
    make, document = PROVIDERS[name]
    event = make(orjson.loads(json.dumps(broken(document, path, value))))
    whole = make(document)
    decode = trades.decode if name == "finnhub" else posts.decode
    decode(event.value)
    assert (event.key, event.event_time) == (whole.key, whole.event_time)
    assert not whole.mended
    return event


@pytest.mark.parametrize("value", WAYS, ids=lambda value: repr(value)[:20])
def test_no_field_that_is_optional_costs_a_record(value: Any) -> None:
    for name, path in PLACES:
        check(name, path, value)


@given(st.sampled_from(PLACES), JSON)
def test_whatever_is_in_an_optional_field_the_record_is_written(place: tuple[str, tuple[Any, ...]], value: Any) -> None:
    check(*place, value)


RECORD = ("commit", "record")
FEATURES = (*RECORD, "facets", 0, "features")


@pytest.mark.parametrize(
    ("name", "path", "value", "found"),
    [
        ("mastodon", ("content",), None, {"text": None}),
        ("mastodon", ("content",), MISSING, {"text": None}),
        ("mastodon", ("content",), "x\0<b>", {"text": "x"}),
        ("mastodon", ("tags",), None, {"hashtags": []}),
        ("mastodon", ("tags",), ["One", {"name": "two"}, None, {"name": 5}], {"hashtags": ["one", "two", "5"]}),
        ("mastodon", ("visibility",), MISSING, {"visibility": None}),
        ("mastodon", ("visibility",), "everybody", {"visibility": None}),
        ("mastodon", ("account", "url"), None, {"author": {"id": "ada@two.example"}}),
        ("mastodon", ("account", "url"), "", {"author": {"id": "ada@two.example"}}),
        ("mastodon", ("account",), {"acct": "bob", "bot": "true"}, {"author": {"id": "bob@one.example", "bot": True}}),
        ("mastodon", ("account",), None, {"author": None}),
        ("mastodon", ("account", "username"), 7, {"author": {"username": "7"}}),
        ("mastodon", ("replies_count",), "12", {"replies": 12}),
        ("mastodon", ("replies_count",), 12.0, {"replies": 12}),
        ("mastodon", ("replies_count",), -1, {"replies": None}),
        ("mastodon", ("favourites_count",), 2**63, {"favourites": None}),
        ("mastodon", ("id",), 116873414000000000, {"source_id": "116873414000000000"}),
        ("mastodon", ("edited_at",), "", {"operation": "create"}),
        ("mastodon", ("created_at",), "2026-07-04T14:38:07.323", {"created_at": "2026-07-04T14:38:07.323000Z"}),
        ("mastodon", ("url",), "", {"url": None}),
        ("mastodon", ("reblog",), False, {"text": "Hi"}),
        ("bluesky", (*RECORD, "langs"), "en", {"language": "en"}),
        ("bluesky", (*RECORD, "langs"), [None, "de"], {"language": "de"}),
        ("bluesky", FEATURES, None, {"hashtags": ["a"]}),
        ("bluesky", (*FEATURES, 0, "tag"), 2026, {"hashtags": ["2026", "a"]}),
        ("bluesky", (*RECORD, "tags"), ["b", None], {"hashtags": ["x", "b"]}),
        ("bluesky", (*RECORD, "tags"), "b", {"hashtags": ["x", "b"]}),
        ("bluesky", (*RECORD, "createdAt"), 5, {"created_at": None}),
        ("bluesky", (*RECORD, "createdAt"), "2026-07-04T14:38:07", {"created_at": "2026-07-04T14:38:07.000000Z"}),
        ("bluesky", (*RECORD, "text"), MISSING, {"text": None}),
        ("bluesky", (*RECORD, "text"), "nul \0", {"text": "nul "}),
        ("bluesky", ("cursor",), "7", {"text": "hello"}),
        ("finnhub", ("c",), [1, None, "12"], {"conditions": ["1", "12"]}),
        ("finnhub", ("c",), "1", {"conditions": ["1"]}),
        ("finnhub", ("c",), ["\0"], {"conditions": []}),
    ],
)
def test_what_is_plain_is_read_and_the_record_counts_as_mended(name: str, path: Any, value: Any, found: dict) -> None:
    event = check(name, path, value)
    written = json.loads(event.value)
    for key, right in found.items():
        if isinstance(right, dict):
            assert right.items() <= written[key].items()
        else:
            assert written[key] == right
    assert event.mended


@pytest.mark.parametrize("name", ["language", "url", "edited_at", "reblog"])
def test_null_where_mastodon_itself_writes_null_is_no_mending(name: str) -> None:
    assert not check("mastodon", (name,), None).mended


@pytest.mark.parametrize("name", ["langs", "facets", "tags"])
def test_what_a_record_of_bluesky_may_leave_out_is_no_mending(name: str) -> None:
    assert not check("bluesky", (*RECORD, name), MISSING).mended


@pytest.mark.parametrize(
    ("raw", "tag"),
    [("EN_us", "en-US"), ("en-US", "en-US"), ("en", "en"), ("und", None), ("", None), ("zh-hant", "zh-Hant")],
)  # fmt: skip
def test_languages_are_stored_in_one_spelling(raw: str, tag: str | None) -> None:
    for name, path, value in (("mastodon", ("language",), raw), ("bluesky", (*RECORD, "langs"), [raw])):
        assert json.loads(check(name, path, value).value)["language"] == tag
    assert json.loads(check("bluesky", (*RECORD, "langs"), ["und", raw, "de"]).value)["language"] == (tag or "de")


def test_what_is_said_to_be_limited_stays_hidden() -> None:
    for word in ("private", "direct", "local", "list", "mutuals_only"):
        assert WRITER.shown(test_mastodon.status(visibility=word), test_mastodon.NOW) == []


def test_fields_of_no_object_are_all_missing() -> None:
    fields = Fields([1])
    assert (fields.text("a"), fields.words("b"), fields.inner("c").flag("d"), fields.objects("e")) == (
        None,
        [],
        None,
        [],
    )
    assert fields.mended == {"a", "b", "c", "d", "e"}


def test_the_progress_line_tells_of_mended_records() -> None:
    assert "2 mended" in Counts(events=3, mended=2).line(1)
