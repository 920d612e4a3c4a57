"""Convert Mastodon's statuses to post.v1 events: creates, edits, deletes, and later readings of the counters.

The fields are those of docs.joinmastodon.org/entities/Status. Ids are an instance's own, `uri` is global; so a post's
id is its `uri`, and an author's the URL of the account. These, the instance's id and the time are required. Of the many
servers that speak Mastodon's API, some leave others out or write them in their own way: such a field is mended.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import orjson

from millrace.errors import BadRecord
from millrace.ingest.events import AHEAD, Event
from millrace.ingest.fields import LONGEST_WORD, Fields
from millrace.ingest.hashtags import on_mastodon
from millrace.ingest.mastodon.bodies import Unreadable
from millrace.ingest.mastodon.html import plain_text
from millrace.ingest.values import encode, iso, micros, moment
from millrace.kafka import posts
from millrace.kafka.topics import MASTODON
from millrace.names import language_tag, normalise_hashtags

PUBLIC = frozenset({"public"})
LIMITED = frozenset({"unlisted", "private", "direct", "limited", "local", "list", "mutuals_only", "self"})
_EPOCH = "1970"
_OPTIONAL = ("edited_at", "language", "url", "reblog")  # null in statuses of Mastodon itself


@dataclass(frozen=True, slots=True)
class Status:
    """The fields of a status that are used, and whether any had to be mended. `author` is as in post.v1."""

    id: str
    uri: str
    created_at: datetime
    edited_at: datetime | None
    author: dict[str, Any] | None
    content: str | None
    visibility: str | None
    language: str | None
    tags: list[str]
    replies: int | None
    reblogs: int | None
    favourites: int | None
    url: str | None
    mended: bool


def read(document: Any, instance: str = "") -> tuple[Status, Any]:
    """Return the status in a JSON document, and that document; for a boost, those of the boosted post.

    `instance` is the host that shows it. Raises BadRecord.
    """
    if isinstance(document, Unreadable):
        raise BadRecord(document.reason)
    boosted = document.get("reblog") if isinstance(document, dict) else None
    if isinstance(boosted, dict) and boosted.get("uri"):
        return _status(boosted, instance, set()), boosted
    return _status(document, instance, set() if boosted is None else {"reblog"}), document


def _status(document: Any, instance: str, mended: set[str]) -> Status:
    fields = Fields(document, _OPTIONAL, mended)
    status_id, uri, created_at = fields.word("id"), fields.word("uri"), fields.time("created_at")
    if status_id is None or created_at is None or uri is None or "uri" in mended:
        missing = "id" if status_id is None else "created_at" if created_at is None else "uri"
        raise BadRecord(f"{missing} is missing or of another shape")
    if created_at < _EPOCH:
        raise BadRecord(f"created_at {created_at} is before 1970: Kafka has no such time")
    edited_at = _edited_at(fields)
    return Status(
        id=status_id,
        uri=uri,
        created_at=datetime.fromisoformat(created_at),
        edited_at=datetime.fromisoformat(edited_at) if edited_at else None,
        author=_author(fields.inner("account"), instance),
        content=fields.text("content"),
        visibility=_visibility(fields),
        language=language_tag(fields.word("language")),
        tags=[name for tag in fields.objects("tags", key="name") if (name := tag.word("name"))],
        replies=fields.count("replies_count"),
        reblogs=fields.count("reblogs_count"),
        favourites=fields.count("favourites_count"),
        url=fields.word("url"),
        mended=bool(mended),
    )


def _edited_at(fields: Fields) -> str | None:
    found = fields.time("edited_at")
    if found is not None and found < _EPOCH:
        fields.mended.add("edited_at")
        return None
    return found


def _author(account: Fields, instance: str) -> dict[str, Any] | None:
    """Return the author of post.v1; without its URL, an account is known by its name and server. None: by neither."""
    found = account.word("url") or _full_name(account.word("acct"), instance)
    names = {"username": account.word("username"), "name": account.text("display_name", LONGEST_WORD)}
    return {"id": found, **names, "bot": account.flag("bot")} if found else None


def _full_name(acct: str | None, instance: str) -> str | None:
    """Return `acct` with its server: Mastodon leaves out that of its own accounts."""
    return acct if acct is None or "@" in acct else f"{acct}@{instance}"


def _visibility(fields: Fields) -> str | None:
    """Return the visibility, None for what is none: then the timeline says that the post is public."""
    found = fields.word("visibility")
    if found is not None and found not in PUBLIC | LIMITED:
        fields.mended.add("visibility")
        return None
    return found


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
        return [*created, *self._event(document, "update", now)] if created else []

    def edited(self, document: Any, now: int) -> list[Event]:
        """Return the event of the post's last edit, none if it was never edited."""
        status, inner = read(document)
        if status.edited_at is None and inner.get("edited_at"):
            raise BadRecord("edited_at is of another shape")
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
        """Return the event of what happened to the post, none if it did not, or if the post is not asked for."""
        status, inner = read(document, self._instance)
        times = {"create": status.created_at, "update": status.edited_at, "metrics": moment(now)}
        happened = times[operation]
        if happened is None or (status.visibility or "public") not in self._visibilities:
            return []
        witnessed = min(micros(happened), now + AHEAD)
        happening = {"create": "", "update": _second(happened), "metrics": iso(due)[:19]}[operation]
        event_id = f"{status.uri}/{operation}" + (f"/{happening}" if happening else "")
        value = _content(status)
        if self._keep_raw:
            value["raw"] = orjson.dumps(inner).decode()
        event = self._written((status.uri, status.id), operation, event_id, (witnessed, now), value)
        return [replace(event, mended=status.mended)]

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


def _second(moment: datetime) -> str:
    """Return the time to the second: instances agree on the second of an edit, not on what follows."""
    return iso(micros(moment))[:19]


def _content(status: Status) -> dict[str, Any]:
    text = None if status.content is None else plain_text(status.content)
    return {
        "created_at": iso(micros(status.created_at)),
        "author": status.author,
        "text": text,
        "language": status.language,
        "hashtags": normalise_hashtags(status.tags or _written(status.content or "")),
        "replies": status.replies,
        "reblogs": status.reblogs,
        "favourites": status.favourites,
        "visibility": status.visibility,
        "url": status.url,
    }


def _written(content: str) -> list[str]:
    return on_mastodon(plain_text(content, links=False)) if "#" in content or "＃" in content else []
