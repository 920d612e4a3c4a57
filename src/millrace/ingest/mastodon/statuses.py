"""Convert Mastodon's statuses to post.v1 events: creates, edits, deletes, and later readings of the counters.

The fields are those of docs.joinmastodon.org/entities/Status. Ids are an instance's own, `uri` is global; so a post's
id is its `uri`, and an author's the URL of the account.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import orjson
from msgspec import Meta

from millrace.errors import BadRecord
from millrace.ingest.events import AHEAD, Event
from millrace.ingest.hashtags import written
from millrace.ingest.mastodon.html import plain_text
from millrace.ingest.values import encode, iso, micros
from millrace.kafka import posts
from millrace.kafka.topics import MASTODON
from millrace.names import normalise_hashtags

PUBLIC = frozenset({"public"})
_Name = Annotated[str, Meta(min_length=1, max_length=2048)]
_Time = Annotated[datetime, Meta(tz=True)]


class _Account(msgspec.Struct):
    username: str
    url: _Name
    display_name: str | None = None
    bot: bool | None = None


class _Tag(msgspec.Struct):
    name: str


class Status(msgspec.Struct):
    """The fields of a status that are used; `reblog` is the post that a boost repeats."""

    id: _Name
    uri: _Name
    created_at: _Time
    account: _Account
    content: str
    visibility: str
    edited_at: _Time | None = None
    language: str | None = None
    tags: list[_Tag] = []
    replies_count: int | None = None
    reblogs_count: int | None = None
    favourites_count: int | None = None
    url: str | None = None
    reblog: Any = None


def read(document: Any) -> tuple[Status, Any]:
    """Return the status in a JSON document, and that document; for a boost, those of the boosted post.

    Raises BadRecord.
    """
    try:
        status = msgspec.convert(document, Status)
        if status.reblog is None:
            return status, document
        return msgspec.convert(status.reblog, Status), status.reblog
    except msgspec.ValidationError as error:
        raise BadRecord(str(error)) from None


class Writer:
    """Makes the post.v1 events of the statuses that `host` (an instance's URL) shows.

    Only posts whose visibility is in `visibilities` become events; `keep_raw` adds the status as `raw`. All methods
    take `now`, the ingest clock in microseconds, and raise BadRecord.
    """

    def __init__(self, host: str, visibilities: Collection[str] = PUBLIC, keep_raw: bool = False) -> None:
        self._instance = urlsplit(host).netloc
        self._visibilities, self._keep_raw = visibilities, keep_raw

    def shown(self, document: Any, now: int) -> list[Event]:
        """Return the event that created the post and, if it was edited since, the event of its last edit."""
        created = self._event(document, "create", now)
        return [*created, *self.edited(document, now)] if created else []

    def edited(self, document: Any, now: int) -> list[Event]:
        """Return the event of the post's last edit, none if it was never edited."""
        status, _ = read(document)
        return self._event(document, "update", now) if status.edited_at else []

    def looked_up(self, document: Any, due: int, now: int) -> list[Event]:
        """Return the event with the counters as of `now`, of a post that was `due` to be revisited."""
        return self._event(document, "metrics", now, due)

    def deleted(self, source_id: str, uri: str, now: int) -> Event:
        """Return the event that the post `uri` was deleted, as seen at `now`."""
        value: dict[str, Any] = {
            "author": None,
            "created_at": None,
            "text": "",
            "language": None,
            "hashtags": [],
            "url": None,
        }
        counters = {"replies": None, "reblogs": None, "favourites": None, "visibility": None}
        return self._written((uri, source_id), "delete", f"{uri}/delete", (now, now), value | counters)

    def _event(self, document: Any, operation: str, now: int, due: int = 0) -> list[Event]:
        status, inner = read(document)
        if status.visibility not in self._visibilities:
            return []
        times = {"create": status.created_at, "update": status.edited_at}
        moment = times.get(operation)
        witnessed = min(micros(moment), now + AHEAD) if moment else now
        happening = {"create": "", "update": _second(status.edited_at), "metrics": iso(due)[:19]}[operation]
        event_id = f"{status.uri}/{operation}" + (f"/{happening}" if happening else "")
        value = _content(status)
        if self._keep_raw:
            value["raw"] = orjson.dumps(inner).decode()
        return [self._written((status.uri, status.id), operation, event_id, (witnessed, now), value)]

    def _written(
        self, place: tuple[str, str], operation: str, event_id: str, times: tuple[int, int], value: dict[str, Any]
    ) -> Event:
        (uri, source_id), (witnessed, now) = place, times
        head = {
            "id": uri,
            "event_id": event_id,
            "source_id": source_id,
            "source": "mastodon",
            "instance": self._instance,
            "event_time": iso(witnessed),
            "observed_at": iso(now),
            "operation": operation,
        }
        data = encode(head | value)
        posts.decode(data)  # so that every reader accepts what is written
        return Event(MASTODON.name, uri.encode(), data, witnessed, event_id, 0, 0)


def _second(moment: datetime | None) -> str:
    """Return the time to the second: instances agree on the second of an edit, not on what follows."""
    return iso(micros(moment))[:19] if moment else ""


def _content(status: Status) -> dict[str, Any]:
    account, text = status.account, plain_text(status.content)
    return {
        "created_at": iso(micros(status.created_at)),
        "author": {
            "id": account.url,
            "username": account.username,
            "name": account.display_name,
            "bot": account.bot,
        },
        "text": text,
        "language": status.language,
        "hashtags": normalise_hashtags([tag.name for tag in status.tags] or written(text)),
        "replies": status.replies_count,
        "reblogs": status.reblogs_count,
        "favourites": status.favourites_count,
        "visibility": status.visibility,
        "url": status.url,
    }
