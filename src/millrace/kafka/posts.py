"""post.v1: the one shape of a social post in Kafka, for Bluesky, Mastodon and tweets alike.

The types below are the contract, and `decode` is how every reader judges a record: what it refuses is bad in every
analysis and in the quarantine alike. No Spark here, so that adapters may use it.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from millrace.errors import BadRecord

SCHEMA = "post.v1"
T = TypeVar("T")
Operation = Literal["create", "update", "delete", "metrics"]
Time = Annotated[datetime, Meta(tz=True)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
REFUSED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # what a decoder makes of a wrong value
NUL = b"\\u0000"  # as JSON spells it
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class Author(msgspec.Struct, gc=False):
    """Who wrote the post; `id` is global where the network has global ids."""

    id: str
    username: str | None = None
    name: str | None = None
    bot: bool | None = None


class Post(msgspec.Struct, gc=False, kw_only=True):
    """One happening to one post.

    `id` names the post, `event_id` the happening. Times are ISO 8601 UTC with microseconds: `event_time` is what the
    server witnessed, `created_at` the author's claim, `observed_at` when millrace saw it. `hashtags` are normalised.
    """

    id: str
    event_id: str
    source_id: str | None = None
    source: str
    instance: str | None = None
    event_time: Time
    created_at: Time | None = None
    observed_at: Time | None = None
    author: Author | None = None
    text: str | None = None
    language: str | None = None
    hashtags: list[str] = []
    replies: Count | None = None
    reblogs: Count | None = None
    favourites: Count | None = None
    visibility: str | None = None
    url: str | None = None
    operation: Operation
    raw: str | None = None


_DECODER = msgspec.json.Decoder(Post)


def decode(value: bytes | None) -> Post:
    """Return the post in a record's value; raises BadRecord with the reason.

    The whole record must be right, not only what one analysis reads.
    """
    return whole(value, decode_clean)


def decode_clean(value: bytes) -> Post:
    """Do as `decode` for a value that is UTF-8 without escaped NUL; raises what is in REFUSED."""
    return _DECODER.decode(value)


def whole(value: bytes | None, clean: Callable[[bytes], T]) -> T:
    """Return what `clean` makes of any value; raises BadRecord where it is null, no UTF-8, or text with U+0000."""
    if value is None:
        raise BadRecord("null value")
    try:
        record = clean(value)
        value.decode()  # msgspec does not look into fields that it skips
    except REFUSED as error:
        raise BadRecord(str(error)) from None
    if NUL in value and _NUL.search(value):
        raise BadRecord("text with U+0000, which PostgreSQL cannot store")
    return record
