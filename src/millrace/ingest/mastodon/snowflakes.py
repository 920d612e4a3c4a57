"""Convert between Mastodon's status ids and times: ids order by time, so a time is a place in a timeline.

An id is milliseconds since 1970 times 65,536 plus a number (lib/mastodon/snowflake.rb of mastodon/mastodon). Other
servers' ids may be other strings: those order by length and letters, and hold no time.
"""

from typing import Any

from millrace.ingest.fields import Fields
from millrace.ingest.mastodon.pages import Unreadable

SHIFT = 16
MILLISECOND = 1000  # microseconds
EARLIEST = 1_451_606_400_000  # milliseconds: 2016, when Mastodon began


def id_at(time: int) -> str:
    """Return the lowest id of `time` (microseconds since 1970)."""
    return str(max(0, time // MILLISECOND) << SHIFT)


def time_of(status_id: str) -> int | None:
    """Return the time (microseconds since 1970) in an id, None if it holds none."""
    if not (status_id.isascii() and status_id.isdigit()):
        return None
    moment = int(status_id) >> SHIFT
    return moment * MILLISECOND if moment >= EARLIEST else None


def order(status_id: str) -> tuple[int, str]:
    """Return the sort key of an id."""
    return len(status_id), status_id


def id_of(document: Any) -> str | None:
    """Return the id of a status that may be broken, None if it has none; some servers write it as a number."""
    return document.id if isinstance(document, Unreadable) else Fields(document).word("id")
