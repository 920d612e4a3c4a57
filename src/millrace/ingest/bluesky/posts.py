"""Convert Jetstream's frames, of both protocol versions, to post.v1.

Frames are documented in docs/README.md of the repository bluesky-social/jetstream; facets and tags are those of the
lexicon app.bsky.feed.post.
"""

import re
from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec

from millrace.errors import BadRecord, Unavailable
from millrace.ingest.events import TIMES_FROM, Event, Mark
from millrace.ingest.fields import Fields
from millrace.ingest.hashtags import on_bluesky
from millrace.ingest.values import encode, event_time, iso, json_object, micros
from millrace.kafka import posts
from millrace.kafka.topics import BLUESKY
from millrace.names import language_tag, normalise_hashtags

POSTS = "app.bsky.feed.post"
INSTANCE = "bsky.network"  # the network: a frame does not say which server hosts the author
_Shape = TypeVar("_Shape", bound=msgspec.Struct)
_PLACE = re.compile(r"did:[a-z0-9]+:[^/\s]{1,2048}/[^/\s]{1,512}/[^/\s]{1,64}")
_OPTIONAL = ("langs", "facets", "tags")
_TAG = "app.bsky.richtext.facet#tag"


class _Commit(msgspec.Struct):
    rev: str
    operation: Literal["create", "update", "delete"]
    collection: str
    rkey: str
    record: Any = None


class _Place(msgspec.Struct):
    time_us: int | None = None
    cursor: int | None = None


class _Frame(msgspec.Struct):
    did: str
    time_us: int
    kind: str
    commit: _Commit | None = None
    cursor: Any = None

    @property
    def position(self) -> int:
        """Where to resume: the sequence number if the server gives one, else the time."""
        number = self.cursor if isinstance(self.cursor, int) else 0
        return number if 0 < number < TIMES_FROM else self.time_us


def parse(frame: bytes, now: int, keep_raw: bool = False) -> Event | Mark | None:
    """Turn one frame of either version into an event, a mark, or None for a notice without a position.

    `now` is the ingest clock in microseconds. Raises BadRecord for anything that is no frame, and Unavailable for the
    server's own error message.
    """
    document = json_object(frame)
    if document.get("$type") in ("message", "error"):
        document = _unwrap(document)
        if document["kind"] == "info":
            return None
    found = _convert(document, _Frame)
    witnessed = event_time(found.time_us, now)
    if found.kind != "commit":
        return Mark(found.position, found.time_us)
    if found.commit is None:
        raise BadRecord("commit is missing")
    if found.commit.collection != POSTS:
        return Mark(found.position, found.time_us)
    return _event(found, found.commit, witnessed, now, frame if keep_raw else None)


def _unwrap(document: dict[str, Any]) -> dict[str, Any]:
    """Convert a v2 frame to the shape of v1."""
    if document["$type"] == "error":
        raise Unavailable(f"the server says {str(document.get('error'))[:100]!r}")
    payload = document.get("payload")
    if not isinstance(payload, dict):
        raise BadRecord("payload is no object")
    kind = str(payload.get("$type")).rpartition("#")[2]
    if kind == "info":
        return {"kind": kind}
    flat = {
        "did": payload.get("did"),
        "time_us": _micros(payload.get("time")),
        "kind": kind,
        "cursor": payload.get("seq"),
    }
    return {**flat, "commit": payload} if kind == "commit" else flat


def _micros(text: object) -> int:
    try:
        return micros(datetime.fromisoformat(text if isinstance(text, str) else ""))
    except (ValueError, TypeError):
        raise BadRecord("time is no RFC 3339 time") from None


def _event(frame: _Frame, commit: _Commit, witnessed: int, now: int, raw: bytes | None) -> Event:
    place = f"{frame.did}/{commit.rkey}/{commit.rev}"
    if not _PLACE.fullmatch(place):
        raise BadRecord("did, rkey or rev is no such identifier")
    uri = f"at://{frame.did}/{POSTS}/{commit.rkey}"
    event_id = f"{place}/{commit.operation}"
    mended: set[str] = set() if frame.cursor is None or type(frame.cursor) is int else {"cursor"}
    value = {
        "id": uri,
        "event_id": event_id,
        "source_id": commit.rkey,
        "source": "bluesky",
        "instance": INSTANCE,
        "event_time": iso(witnessed),
        "observed_at": iso(now),
        "author": {"id": frame.did, "username": None, "name": None, "bot": None},
        **_content(commit, mended),
        "replies": None,  # the stream carries no counters
        "reblogs": None,
        "favourites": None,
        "visibility": "public",
        "url": f"https://bsky.app/profile/{frame.did}/post/{commit.rkey}",
        "operation": commit.operation,
    }
    if raw is not None:
        value["raw"] = raw.decode()
    data = encode(value)
    posts.decode(data)  # so that every reader accepts what is written
    place_in_feed = (frame.position, frame.time_us)
    return Event(BLUESKY.name, uri.encode(), data, witnessed, event_id, *place_in_feed, mended=bool(mended))


def _content(commit: _Commit, mended: set[str]) -> dict[str, Any]:
    """Return what the author wrote; no server checks a record against its lexicon, so any field may be anything."""
    if commit.operation == "delete":  # carries no record
        return {"created_at": None, "text": "", "language": None, "hashtags": []}
    if not isinstance(commit.record, dict):
        raise BadRecord(f"Expected `object`, got `{type(commit.record).__name__}` - at `$.commit.record`")
    record = Fields(commit.record, _OPTIONAL, mended)
    text = record.text("text")
    return {
        "created_at": record.time("createdAt"),
        "text": text,
        "language": next(filter(None, map(language_tag, record.words("langs"))), None),
        "hashtags": _hashtags(record, text or ""),
    }


def _hashtags(record: Fields, text: str) -> list[str]:
    """Return the hashtags of the provider's own markup (facets and tags); only without any, those of the text."""
    features = [feature for facet in record.objects("facets") for feature in facet.objects("features")]
    marked = [feature.word("tag") for feature in features if feature.word("$type") == _TAG]
    return normalise_hashtags([tag for tag in marked if tag] + record.words("tags") or on_bluesky(text))


def _convert(document: object, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.convert(document, shape)
    except msgspec.ValidationError as error:
        raise BadRecord(str(error)) from None


def position(message: bytes) -> int | None:
    """Return the position of a bad frame, None if not even that can be read."""
    try:
        found = _convert(json_object(message), _Place)
    except BadRecord:
        return None
    return found.cursor or found.time_us
