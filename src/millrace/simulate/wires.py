"""How tweets stand on the wire: plain, or as Twitter's API has them (v1.1, v2); and ways in which none may be read."""

import json
from datetime import timedelta
from typing import Any

from millrace.simulate import broken
from millrace.simulate.scenario import EPOCH, rfc3339
from millrace.simulate.talk import Tweet

WHOLE: dict[str, broken.Break] = broken.WHOLE | {
    "deep": lambda frame: b'{"text":' + broken.NESTED + b"," + frame[1:],
    "not a number": lambda frame: b'{"id":NaN,' + frame[1:],
    "huge number": lambda frame: frame[:-1] + b',"id_str":1e400}',
    "invalid UTF-8": lambda frame: frame[:-1] + b',"source":"\xff\xfe"}',
    "lone surrogate": lambda frame: frame[:-1] + rb',"source":"\ud800"}',
}
WITHIN: dict[str, dict[str, Any]] = {
    "no id": {"id": None, "id_str": None},
    "blank id": {"id": " ", "id_str": ""},
    "id of another kind": {"id": {"$oid": "1"}, "id_str": ["1"]},
    "no time": {"created_at": None},
    "time of words": {"created_at": "soon"},
    "time of another kind": {"created_at": {"$date": 0}},
    "no text": {"text": None, "full_text": None},
    "text of another kind": {"text": 17, "full_text": {"text": "17"}},
}
WAYS = (*WHOLE, *WITHIN)


def encode(tweet: Tweet, wire: str) -> bytes:
    """Return the frame of `tweet` on `wire`; a broken one is broken in its own way."""
    fields = {"plain": _plain, "v1": _v1, "v2": _v2}[wire](tweet)
    way = "" if tweet.broken is None else WAYS[tweet.broken % len(WAYS)]
    fields |= WITHIN.get(way, {})
    if wire == "v2":
        user = {"id": str(tweet.author), "name": f"Miller {tweet.author}", "username": f"miller_{tweet.author}"}
        fields = {"data": fields, "includes": {"users": [user]}}
    frame = json.dumps(fields, ensure_ascii=tweet.index % 2 == 0, separators=(",", ":")).encode()
    return WHOLE[way](frame) if way in WHOLE else frame


def _plain(tweet: Tweet) -> dict[str, Any]:
    return {
        "id": tweet.id,
        "created_at": rfc3339(tweet.time_us),
        "text": tweet.sent,
        "lang": tweet.language,
        "user": {"id": str(tweet.author), "username": f"miller_{tweet.author}", "name": f"Miller {tweet.author}"},
    }


def _v1(tweet: Tweet) -> dict[str, Any]:
    created = EPOCH + timedelta(microseconds=tweet.time_us)
    author = {"id": tweet.author, "id_str": str(tweet.author), "screen_name": f"miller_{tweet.author}"}
    return {
        "created_at": created.strftime("%a %b %d %H:%M:%S +0000 %Y"),
        "id": int(tweet.id),
        "id_str": tweet.id,
        "full_text": tweet.sent,
        "entities": {"hashtags": [{"text": tag, "indices": [0, 0]} for tag in tweet.hashtags]},
        "user": author | {"name": f"Miller {tweet.author}"},
        "retweet_count": 0,
        "favorite_count": 0,
        "lang": tweet.language,
    }


def _v2(tweet: Tweet) -> dict[str, Any]:
    return {
        "id": tweet.id,
        "text": tweet.sent,
        "author_id": str(tweet.author),
        "created_at": rfc3339(tweet.time_us),
        "lang": tweet.language,
        "entities": {"hashtags": [{"start": 0, "end": 0, "tag": tag} for tag in tweet.hashtags]},
        "public_metrics": {"retweet_count": 0, "reply_count": 0, "like_count": 0, "quote_count": 0},
    }
