"""Read Bluesky's posts from a Jetstream WebSocket as post.v1.

Both protocol versions are spoken, by the URL's path: v1 (`/subscribe`, also for a bare host) and v2
(`/xrpc/network.bsky.jetstream.subscribeEvents`). Cursors are documented in docs/README.md of the repository
bluesky-social/jetstream.
"""

import time
from collections.abc import Sequence
from functools import partial
from urllib.parse import urlencode, urlsplit, urlunsplit

from millrace.errors import BadRecord
from millrace.ingest.addresses import address
from millrace.ingest.bluesky.posts import POSTS, parse, position
from millrace.ingest.events import EARLIEST, SECOND, Clock, Cursor, DeadLetter, Feed, Gap, Item, Stream
from millrace.ingest.frames import Refused, messages
from millrace.kafka.topics import BLUESKY

V2_PATH = "/xrpc/network.bsky.jetstream.subscribeEvents"


def feed(
    hosts: Sequence[str],
    collections: Sequence[str] = (POSTS,),
    keep_raw: bool = False,
    clock: Clock = time.time,
) -> Feed:
    """Return the feed of Jetstream `hosts` (ws:// or wss:// URLs); the server filters to `collections`."""
    connect = partial(_connect, collections=collections, keep_raw=keep_raw, clock=clock)
    return Feed("bluesky", BLUESKY, tuple(hosts), connect)


def subscription(host: str, collections: Sequence[str], position: int | None) -> str:
    """Return the URL to connect to: path, filter and cursor as the protocol version of `host` wants them."""
    scheme, place, path, query, _ = urlsplit(host)
    path = path if path.strip("/") else "/subscribe"
    name = "collections" if path == V2_PATH else "wantedCollections"
    options = [(name, collection) for collection in collections]
    options += [("cursor", str(position))] if position is not None else []
    return urlunsplit((scheme, place, path, "&".join(filter(None, [query, urlencode(options)])), ""))


def _connect(host: str, cursor: Cursor | None, *, collections: Sequence[str], keep_raw: bool, clock: Clock) -> Stream:
    positions = [cursor.position, cursor.seen or None, None] if cursor else [None]
    for place in positions:  # with a cursor that is too old, as far back as the server goes, else live
        unknown = cursor is not None and not cursor.moment and place is None
        try:
            for message in messages(subscription(host, collections, place)):
                yield _item(message, clock, keep_raw)
                if unknown:  # without a time, the first item cannot show what is missing
                    now, unknown = int(clock() * SECOND), False
                    yield Gap("bluesky", address(host), EARLIEST, now, "the server does not have the chosen cursor")
        except Refused as error:
            if b"CursorTooOld" not in error.body or place is None:
                raise


def _item(message: bytes | DeadLetter | None, clock: Clock, keep_raw: bool) -> Item | None:
    if message is None or isinstance(message, DeadLetter):
        return message
    try:
        return parse(message, int(clock() * SECOND), keep_raw)
    except BadRecord as error:
        return DeadLetter.of(message, str(error), position(message))
