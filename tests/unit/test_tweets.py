"""Tweets of three shapes, good, odd and hostile, to post.v1 or a bad record; what cleaning leaves of their texts."""

import gzip
import json
from io import BytesIO
from typing import Any

import pytest

from millrace.errors import BadRecord, ConfigError, MillraceError
from millrace.ingest.events import SECOND, DeadLetter
from millrace.ingest.frames import CAP
from millrace.ingest.tweets.cleaning import clean, is_blank, stripped
from millrace.ingest.tweets.lines import messages, opened
from millrace.ingest.tweets.shapes import Reading, parse

NOW = 1_800_000_000 * SECOND  # 2027
PLAIN = {"id": "1", "created_at": "2026-11-28T12:00:00.123Z", "text": "hello"}
V1 = {
    "created_at": "Wed Oct 10 20:19:24 +0000 2018",
    "id": 1050118621198921728,
    "id_str": "1050118621198921728",
    "full_text": "To make room for more &amp; more",
    "entities": {"hashtags": [{"text": "Room", "indices": [0, 4]}]},
    "user": {"id": 6253282, "id_str": "6253282", "name": "A Miller", "screen_name": "miller"},
    "retweet_count": 3,
    "favorite_count": 4,
    "lang": "en",
}
V2 = {
    "data": {
        "id": "1212092628029698048",
        "text": "We believe",
        "author_id": "7",
        "created_at": "2019-12-31T19:26:16.000Z",
        "lang": "en",
        "public_metrics": {"retweet_count": 7, "reply_count": 3, "like_count": 38, "quote_count": 1},
        "entities": {"hashtags": [{"start": 0, "end": 1, "tag": "Mill"}]},
    },
    "includes": {"users": [{"id": "6", "name": "B", "username": "b"}, {"id": "7", "name": "C", "username": "c"}]},
}


def post(document: Any, **reading: bool) -> dict[str, Any]:
    return json.loads(parse(json.dumps(document).encode(), NOW, Reading(**reading)).value)


def mended(document: Any) -> bool:
    return parse(json.dumps(document).encode(), NOW).mended


def test_a_plain_tweet():
    user = {"id": "7", "username": "miller", "name": "A Miller"}
    found = post(PLAIN | {"text": "see #Mill &amp; @b", "lang": "pt_BR", "user": user})
    assert found["id"] == found["event_id"] == found["source_id"] == "1"
    assert (found["source"], found["operation"], found["visibility"]) == ("tweets", "create", "public")
    assert found["event_time"] == found["created_at"] == "2026-11-28T12:00:00.123000Z"
    assert (found["text"], found["hashtags"], found["language"]) == ("see #Mill & @b", ["mill"], "pt-BR")
    assert found["author"] == {"id": "7", "username": "miller", "name": "A Miller", "bot": None}
    assert (found["replies"], found["reblogs"], found["favourites"]) == (None, None, None)
    assert not mended(PLAIN)


def test_a_tweet_of_v1():
    found = post(V1)
    assert (found["id"], found["text"], found["hashtags"]) == (V1["id_str"], "To make room for more & more", ["room"])
    assert found["event_time"] == "2018-10-10T20:19:24.000000Z"
    assert found["author"] == {"id": "6253282", "username": "miller", "name": "A Miller", "bot": None}
    assert (found["replies"], found["reblogs"], found["favourites"]) == (None, 3, 4)
    assert not mended(V1)


def test_a_tweet_of_v2():
    found = post(V2)
    assert (found["id"], found["text"], found["hashtags"]) == ("1212092628029698048", "We believe", ["mill"])
    assert found["event_time"] == "2019-12-31T19:26:16.000000Z"
    assert found["author"] == {"id": "7", "username": "c", "name": "C", "bot": None}
    assert (found["replies"], found["reblogs"], found["favourites"]) == (3, 7, 38)
    assert not mended(V2)


def test_pages_of_v2_are_flattened():
    flat = V2["data"] | {"author": {"id": "7", "name": "C", "username": "c"}}
    assert post(flat)["author"] == {"id": "7", "username": "c", "name": "C", "bot": None}
    assert not mended(flat)
    with pytest.raises(BadRecord, match="data is a list of tweets"):
        post({"data": [V2["data"]], "includes": V2["includes"]})


def test_long_texts_are_whole():
    longer = {"full_text": "all of it #Whole", "entities": {"hashtags": [{"text": "Whole"}]}}
    streamed = {"id_str": "1", "created_at": V1["created_at"], "text": "all of…", "extended_tweet": longer}
    assert (post(streamed)["text"], post(streamed)["hashtags"]) == ("all of it #Whole", ["whole"])
    assert post({"data": V2["data"] | {"note_tweet": {"text": "We believe all"}}})["text"] == "We believe all"


@pytest.mark.parametrize(
    "change",
    [
        {"id": None}, {"id": ""}, {"id": " "}, {"id": 1.8e18}, {"id": ["1"]},
        {"created_at": None}, {"created_at": "soon"}, {"created_at": "2026-11-28"}, {"created_at": 1764331200},
        {"created_at": "1970-01-01T00:00:00Z"}, {"created_at": "0001-01-01T00:00:00+14:00"},
        {"text": None}, {"text": 17}, {"text": ""}, {"text": " \n\u2028"}, {"text": "\x07\x1b"},
        {"text": "&nbsp;&#32;"}, {"text": "\u200b\u202e\ufeff\u0301"},
    ],
)  # fmt: skip
def test_without_an_id_a_time_or_a_text_it_is_none(change):
    with pytest.raises(BadRecord):
        post(PLAIN | change)


@pytest.mark.parametrize("frame", [b"", b"null", b"[]", b"{", b'{"a":"\xff"}', rb'{"a":"\ud800"}', b"[" * 9000])
def test_what_is_no_object_is_none(frame):
    with pytest.raises(BadRecord):
        parse(frame, NOW)


@pytest.mark.parametrize(
    "odd", [None, 0, -1, 2**70, 1e300, True, "", " ", "\0", "x" * 5000, [], [None], {}, {"id": {}}]
)
@pytest.mark.parametrize(
    "field",
    ["user", "author", "lang", "entities", "hashtags", "author_id", "public_metrics", "extended_tweet", "note_tweet",
     "includes", "retweet_count", "favorite_count", "reply_count", "unknown"],
)  # fmt: skip
def test_odd_optional_fields_cost_no_tweet(field, odd):
    assert post(PLAIN | {field: odd})["text"] == "hello"
    assert post({"data": V2["data"] | {field: odd}, "includes": odd})["text"] == "We believe"


def test_what_was_odd_is_mended_and_counted():
    odd = {"id": 1, "user": {"id": 7, "username": None}, "lang": 3, "retweet_count": "12"}
    found = post(PLAIN | odd)
    assert (found["id"], found["author"]["id"], found["language"], found["reblogs"]) == ("1", "7", None, 12)
    assert mended(PLAIN | odd)


@pytest.mark.parametrize("created", ["2036-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "Sat Jan 05 00:00:00 +0000 2036"])
def test_the_future_is_clamped(created):
    found = post(PLAIN | {"created_at": created})
    assert found["event_time"] == "2027-01-15T08:05:00.000000Z"
    assert found["created_at"] > found["event_time"]
    event = parse(json.dumps(PLAIN | {"created_at": created}).encode(), NOW)
    assert event.seen == NOW


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Tom &amp; Jerry &lt;3 &quot;x&quot; &#39;y&#39; &#x1F600;", "Tom & Jerry <3 \"x\" 'y' 😀"),
        ("&amp;amp; once", "&amp; once"),
        ("AT&T, &unknownentity; &#xFFFFFFFF; &#99999999999;", "AT&T, &unknownentity; &#xFFFFFFFF; &#99999999999;"),
        ("https://example.org/?a=1&copy=2&lt=3", "https://example.org/?a=1&copy=2&lt=3"),
        ("a\0b\x07c\x1b[0m\x7f\x9d", "abc[0m"),
        ("&#7;&#x1b;x", "x"),
        ("left\u202eright\u2066\ufeff", "leftright"),
        (" a \t\r\n\x0b\x1f\x85\xa0\u2028\u3000 b\n", "a b"),
        ("cafe\u0301 한", "café 한"),
        ("e\x07\u0301", "é"),
        ("🏳️‍🌈 👨‍👩‍👧 #️⃣", "🏳️‍🌈 👨‍👩‍👧 #️⃣"),
        ("می‌خواهم", "می‌خواهم"),
        ("Å ﬁ ３", "Å ﬁ ３"),
        ("z" + "\u0315" * 500, "z" + "\u0315" * 30),
    ],
)  # fmt: skip
def test_cleaning(text, right):
    assert clean(text) == right
    assert clean(right.replace("&", "&amp;")) == right  # what is clean stays


@pytest.mark.parametrize(
    ("text", "without_links", "without_mentions"),
    [
        ("see https://t.co/aB1 @b", "see @b", "see https://t.co/aB1"),
        ("見てhttps://t.co/aB1すごい", "見てすごい", "見てhttps://t.co/aB1すごい"),
        ("HTTP://EXAMPLE.ORG/x?y=1#z, www.example.org pic.twitter.com/q", "", None),
        ("https://例え.jp/a b", "b", None),
        ("https://medium.com/@me/x @me", "@me", "https://medium.com/@me/x"),
        ("a@example.org @b.", None, "a@example.org ."),
        ("@b@mastodon.example ＠b 今日@b", None, "@b@mastodon.example 今日"),
        ("RT @miller_1: x", None, "RT : x"),
        ("awww.nice http: //x", None, None),
    ],
)
def test_links_and_mentions_are_left_out(text, without_links, without_mentions):
    assert stripped(text, links=True) == (text if without_links is None else without_links)
    assert stripped(text, mentions=True) == (text if without_mentions is None else without_mentions)
    assert stripped(text) == text


def test_a_tweet_of_links_alone():
    only = PLAIN | {"text": "@b https://t.co/a"}
    assert post(only, strip_links=True)["text"] == "@b"
    with pytest.raises(BadRecord, match="empty after cleaning"):
        post(only, strip_links=True, strip_mentions=True)


def test_hashtags_in_links_are_none_and_links_left_out_cost_no_hashtags():
    found = post(PLAIN | {"text": "#one https://example.org/#two &#35;three"}, strip_links=True)
    assert (found["text"], found["hashtags"]) == ("#one #three", ["one", "three"])
    assert post(PLAIN | {"text": "@b#none x"}, strip_mentions=True)["hashtags"] == []


def test_the_tweet_as_it_came():
    frame = json.dumps(PLAIN).encode()
    assert json.loads(parse(frame, NOW, Reading(keep_raw=True)).value)["raw"] == frame.decode()


def test_nothing_to_see():
    assert is_blank("") and is_blank("\u200d \ufe0f")
    assert not any(map(is_blank, ("x", "猫", "☀️", "!", "\ue000")))


def test_lines_of_a_file():
    long = b"x" * CAP
    found = list(messages(BytesIO(b'{"a":1}\r\n\n  \n' + long + b"\n" + long + b"y\n" + b"last")))
    assert [(number, each) for number, each in found if isinstance(each, bytes)] == [
        (1, b'{"a":1}'), (6, b"last")
    ]  # fmt: skip
    letters = [each for _, each in found if isinstance(each, DeadLetter)]
    assert [(each.position, each.size) for each in letters] == [(4, CAP + 1), (5, CAP + 2)]


def test_a_gzipped_file(tmp_path):
    whole, cut = tmp_path / "t.jsonl.gz", tmp_path / "cut.jsonl.gz"
    whole.write_bytes(gzip.compress(b"1\n" * 9000))
    cut.write_bytes(whole.read_bytes()[:-20])
    with opened(whole) as file:
        assert len(list(messages(file))) == 9000
    with pytest.raises(MillraceError, match=r"cut\.jsonl\.gz cannot be read to its end"), opened(cut) as file:
        list(messages(file))


def test_an_error_beside_the_file_is_not_the_file_s(tmp_path):
    (tmp_path / "t.jsonl").write_bytes(b"1\n")
    with pytest.raises(TimeoutError), opened(tmp_path / "t.jsonl"):
        raise TimeoutError


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_no_file(tmp_path, name):
    with pytest.raises(ConfigError, match="cannot be read"), opened(tmp_path / name):
        pass
