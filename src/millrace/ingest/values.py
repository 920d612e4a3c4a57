"""How values are written: times, posts, cursors, gaps and dead letters, one compact JSON object each."""

import base64
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson

from millrace.errors import BadRecord
from millrace.ingest.addresses import address
from millrace.ingest.events import AHEAD, EARLIEST, SECOND, Cursor, DeadLetter, Gap

LARGEST_VALUE = 950_000  # bytes; a broker refuses records above 1 MiB by default
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def iso(time: int) -> str:
    """Write a time (microseconds) as ISO 8601 UTC with microseconds and Z."""
    seconds, fraction = divmod(time, SECOND)
    return f"{_second(seconds)}.{fraction:06d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]  # strftime writes the year 900 with three digits


def moment(time: int) -> datetime:
    """Return a time (microseconds) as an aware datetime."""
    return _EPOCH + timedelta(microseconds=time)


def micros(moment: datetime) -> int:
    """Return an aware datetime as microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def claimed(text: str | None) -> str | None:
    """Normalise a time that an author claims; None when it is no time at all (the post is still a post)."""
    try:
        moment = datetime.fromisoformat(text or "")
        return iso(micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC)))
    except (ValueError, OverflowError):
        return None


def event_time(witnessed: int, now: int, earliest: int = EARLIEST) -> int:
    """Clamp what the server witnessed to 5 minutes ahead of `now`; raises BadRecord for times before `earliest`."""
    if witnessed < earliest:
        raise BadRecord(f"time {witnessed} is before {iso(earliest)[:4]}: not microseconds since 1970?")
    return min(witnessed, now + AHEAD)


def json_object(frame: bytes) -> dict[str, Any]:
    """Return the JSON object in a frame; raises BadRecord."""
    try:
        document = orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise BadRecord(f"no JSON: {error}") from None
    if not isinstance(document, dict):
        raise BadRecord(f"no JSON object but {type(document).__name__}")
    return document


def encode(value: dict[str, Any]) -> bytes:
    """Serialise a record's value to compact JSON; raises BadRecord where Kafka would refuse it."""
    try:
        data = orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise BadRecord(str(error)) from None
    return fitting(data)


def fitting(data: bytes) -> bytes:
    """Return a record's value; raises BadRecord where Kafka would refuse it."""
    if len(data) > LARGEST_VALUE:
        raise BadRecord(f"value of {len(data)} bytes is larger than {LARGEST_VALUE}")
    return data


def cursor_value(cursor: Cursor) -> bytes:
    """Return the JSON of a cursor: host (its address alone), position, kind, seen, ids, batch, owner."""
    host = address(cursor.host) if cursor.host else ""
    return orjson.dumps({**asdict(cursor), "host": host, "kind": cursor.kind})


def read_cursor(value: bytes) -> Cursor:
    """Return the cursor in a record's value."""
    fields = orjson.loads(value)
    fields.pop("kind", None)
    return Cursor(**fields)


def gap_value(gap: Gap) -> bytes:
    """Return the JSON of a gap: source, host, from, to, reason."""
    times = {"from": iso(gap.start), "to": iso(gap.end)}
    return orjson.dumps({"source": gap.source, "host": gap.host, **times, "reason": gap.reason})


def letter_value(letter: DeadLetter, topic: str) -> bytes:
    """Return the JSON of a dead letter; it has no partition and offset, for it never was in `topic`."""
    head = base64.b64encode(letter.head).decode()
    place: dict[str, Any] = {"topic": topic, "partition": None, "offset": None, "reason": letter.reason[:500]}
    return orjson.dumps({**place, "value_base64": head, "size": letter.size, "sha256": letter.sha256})
