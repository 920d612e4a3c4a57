"""Convert between Mastodon's status ids and times: ids order by time, so a time is a place in a timeline.

An id is milliseconds since 1970 times 65,536 plus a number (lib/mastodon/snowflake.rb of mastodon/mastodon). Other
servers' ids may be other strings: those order by length and letters, and hold no such time.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from millrace.ingest.events import SECOND
from millrace.ingest.fields import Fields
from millrace.ingest.mastodon.bodies import Unreadable

SHIFT = 16
MILLISECOND = 1000  # microseconds
DAY = 86_400 * SECOND
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


def created(document: Any, otherwise: int) -> int:
    """Return when a status that may be broken was created (microseconds since 1970), `otherwise` if it does not say."""
    told = document.get("created_at") if isinstance(document, dict) else None
    try:
        return int(datetime.fromisoformat(str(told)).timestamp() * SECOND)
    except (ValueError, OverflowError):
        return otherwise


def are_times(page: Sequence[Any]) -> bool | None:
    """Return whether the ids of a page hold the times of its statuses, as Mastodon's do; None if it has none."""
    told = [(time_of(found), created(each, 0)) for each in page if (found := id_of(each))]
    dated = [(time, moment) for time, moment in told if moment]
    return any(time and abs(time - moment) < DAY for time, moment in dated) if dated else None
