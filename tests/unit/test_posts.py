import json
from datetime import UTC, datetime

import pytest

from millrace.errors import BadRecord
from millrace.kafka.posts import decode

GOOD = {
    "id": "at://x/y/z",
    "event_id": "x/z/1/create",
    "source": "bluesky",
    "event_time": "2026-07-04T14:38:08.172335Z",
    "operation": "create",
    "hashtags": ["cat"],
}


def altered(**fields):
    return json.dumps(GOOD | fields).encode()


def test_a_good_record():
    post = decode(altered(replies=3, author={"id": "x", "bot": False}, unknown=[1, {"a": 2}]))
    assert (post.id, post.hashtags, post.replies, post.author.id) == ("at://x/y/z", ["cat"], 3, "x")
    assert post.event_time == datetime(2026, 7, 4, 14, 38, 8, 172335, UTC)
    assert (post.text, post.language, post.created_at) == (None, None, None)


BAD = {
    "null": None,
    "empty": b"",
    "literal null": b"null",
    "array": b"[]",
    "text": b'"x"',
    "broken": altered()[:-5],
    "two documents": altered() + b" null",
    "missing id": json.dumps({key: GOOD[key] for key in GOOD if key != "id"}).encode(),
    "null id": altered(id=None),
    "wrong type": altered(hashtags="cat"),
    "wrong type in a list": altered(hashtags=["cat", None]),
    "unread field of wrong type": altered(text=5),
    "unknown operation": altered(operation="explode"),
    "number as text": altered(replies="3"),
    "negative count": altered(replies=-1),
    "beyond 64 bits": altered(replies=2**63),
    "1e400": altered(replies=0).replace(b'"replies": 0', b'"replies": 1e400'),
    "NaN": altered(replies=0).replace(b'"replies": 0', b'"replies": NaN'),
    "time without zone": altered(event_time="2026-07-04T14:38:08"),
    "no time": altered(event_time="yesterday"),
    "nested 10,000 deep": altered(x=0).replace(b'"x": 0', b'"x": ' + b"[" * 10_000 + b"]" * 10_000),
    "invalid UTF-8": altered(text="Z").replace(b'"Z"', b'"\xff\xfe"'),
    "invalid UTF-8 in an unknown field": altered(x="Z").replace(b'"Z"', b'"\xff\xfe"'),
    "U+0000": altered(text="a\x00b"),
    "lone surrogate": altered(text="Z").replace(b'"Z"', b'"\\ud800"'),
}


@pytest.mark.parametrize("value", BAD.values(), ids=BAD.keys())
def test_a_bad_record(value):
    with pytest.raises(BadRecord):
        decode(value)


def test_a_backslash_before_u0000_is_only_text():
    assert decode(altered(text="a\\u0000b")).text == "a\\u0000b"
