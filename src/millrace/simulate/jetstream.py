"""The Jetstream wire, v1 and v2: what a client asks for in its URL, and how events are written.

Source: the lexicon network.bsky.jetstream.subscribeEvents and the docs of bluesky-social/jetstream.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from millrace.simulate import malformed
from millrace.simulate.posts import Event
from millrace.simulate.scenario import rfc3339

V1, V2 = "/subscribe", "/xrpc/network.bsky.jetstream.subscribeEvents"
TIME_CURSORS = 10**15  # cursors from here on are Unix microseconds, smaller ones sequence numbers
MAX_COLLECTIONS, MAX_DIDS = 100, 10_000
KINDS = {"commit", "identity", "account", "sync"}


class Rejected(Exception):
    """A request that is answered with an HTTP error: `status`, and the `name` that v2 clients match on."""

    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(message)
        self.status, self.name = status, name

    def body(self, path: str) -> str:
        """The text of the answer: JSON on the v2 path, plain on v1."""
        if urlsplit(path).path != V2:
            return f"{self}\n"
        return orjson.dumps({"error": self.name, "message": str(self)}).decode()


@dataclass(frozen=True)
class Subscription:
    """What one client wants; an empty set wants everything."""

    v2: bool
    collections: frozenset[str]
    dids: frozenset[str]
    kinds: frozenset[str]
    cursor: int | None

    def wants(self, event: Event) -> bool:
        """Say whether the client gets `event`; collections filter commits only, broken frames go to all."""
        if event.kind == "malformed":
            return True
        if (self.kinds and event.envelope not in self.kinds) or (self.dids and event.did not in self.dids):
            return False
        return event.envelope != "commit" or not self.collections or self._matches(event.collection)

    def _matches(self, collection: str) -> bool:
        prefixes = (wanted[:-1] for wanted in self.collections if wanted.endswith(".*"))
        return collection in self.collections or any(map(collection.startswith, prefixes))


def parse(path: str) -> Subscription:
    """Read the path and query of a request; raises Rejected."""
    url = urlsplit(path)
    if url.path not in (V1, V2):
        raise Rejected(404, "NotFound", f"there is {V1} and {V2} here, not {url.path}")
    query, v2 = parse_qs(url.query), url.path == V2
    _check(query, v2)
    return Subscription(
        v2=v2,
        collections=frozenset(query.get("collections" if v2 else "wantedCollections", ())),
        dids=frozenset(query.get("dids" if v2 else "wantedDids", ())),
        kinds=frozenset(query.get("kinds", ()) if v2 else ()),
        cursor=_cursor(query),
    )


def _check(query: dict[str, list[str]], v2: bool) -> None:
    collections, dids = ("collections", "dids") if v2 else ("wantedCollections", "wantedDids")
    problems = {
        f"more than {MAX_COLLECTIONS} {collections}": len(query.get(collections, ())) > MAX_COLLECTIONS,
        f"more than {MAX_DIDS} {dids}": len(query.get(dids, ())) > MAX_DIDS,
        "wantedCollections and wantedDids are of v1, here they are collections and dids": v2
        and bool({"wantedCollections", "wantedDids"} & query.keys()),
        f"kinds are {', '.join(sorted(KINDS))}": v2 and not KINDS.issuperset(query.get("kinds", ())),
        "this double does not compress": query.get("compress") == ["true"] or "zstdDictionary" in query,
    }
    for problem, found in problems.items():
        if found:
            raise Rejected(400, "InvalidRequest", problem)


def _cursor(query: dict[str, list[str]]) -> int | None:
    raw = query.get("cursor", [""])[0]
    if raw and not (raw.isascii() and raw.isdigit()):
        raise Rejected(400, "InvalidRequest", f"invalid cursor {raw!r}: a whole number, 0 or greater")
    return int(raw) if raw else None


def encode(event: Event, v2: bool, sequence: bool = True) -> tuple[bytes, bool]:
    """Return the frame of `event` and whether it is a text frame; v1 without `sequence` has no `cursor`."""

    def well(event: Event) -> bytes:
        return orjson.dumps(_frame_v2(event) if v2 else _frame_v1(event, sequence))

    if event.kind == "malformed":
        return malformed.encode(event, well), malformed.is_text(event)
    return well(event), True


def _frame_v1(event: Event, sequence: bool) -> dict[str, Any]:
    cursor = {"cursor": event.index + 1} if sequence else {}
    return {
        "did": event.did,
        "time_us": event.time_us,
        **cursor,
        "kind": event.envelope,
        event.envelope: event.body,
    }


def _frame_v2(event: Event) -> dict[str, Any]:
    envelope = event.envelope
    head = {
        "$type": f"network.bsky.jetstream.subscribeEvents#{envelope}",
        "seq": event.index + 1,
        "did": event.did,
        "time": rfc3339(event.time_us, "microseconds"),
    }
    return {
        "$type": "message",
        "payload": head | (event.body if envelope == "commit" else {envelope: event.body}),
    }
