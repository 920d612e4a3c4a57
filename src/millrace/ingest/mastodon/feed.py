"""Read posts from public and hashtag timelines of any number of Mastodon instances as post.v1.

Polled or streamed, a timeline is paged forward with `min_id` (docs.joinmastodon.org/api/guidelines#pagination). All
timelines are read at once; each has a cursor of its own.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlencode

import orjson

from millrace.errors import ConfigError
from millrace.ingest.events import SECOND, Clock, Cursor, DeadLetter, Feed, Item, Pulse, Stream
from millrace.ingest.frames import Refused, messages
from millrace.ingest.mastodon.client import is_own_error
from millrace.ingest.mastodon.instance import REFUSED, Instance
from millrace.ingest.mastodon.memory import Memory
from millrace.ingest.mastodon.pages import Items
from millrace.ingest.mastodon.plan import Plan
from millrace.ingest.mastodon.statuses import Writer
from millrace.ingest.mastodon.timeline import Timeline
from millrace.kafka.topics import MASTODON


def feed(
    plan: Plan,
    token: str | None = None,
    *,
    memories: Mapping[str, Memory] | None = None,
    say: Callable[[str], None],
    clock: Clock = time.time,
    timer: Clock = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Feed:
    """Return the feed of all timelines of `plan`; `say` takes a line about what its user should know.

    `token` is for the first instance. `memories`, by instance URL, hold what was known of its posts before.
    """
    memories = memories or remember(plan)
    clocks: dict[str, Any] = {"clock": clock, "timer": timer, "sleep": sleep}
    since = int((clock() - plan.since) * SECOND) if plan.since is not None else None
    timelines = {}
    for url in plan.instances:
        known = token if url == plan.instances[0] else None  # it is sent to no other host
        instance = Instance(url, known, plan.timeout, timer)
        writer = Writer(url, plan.visibilities, plan.keep_raw)
        for path in plan.paths:
            made = Timeline(instance, path, writer, memories[url], since=since, say=say, **clocks)
            timelines[made.place] = made
    follow = partial(_stream, kind=plan.stream) if plan.stream else partial(_poll, plan=plan)

    def connect(place: str, cursor: Cursor | None) -> Stream:
        timeline = timelines[place]
        _refuse_closed(timeline)
        return follow(timeline, cursor)

    return Feed("mastodon", MASTODON, tuple(timelines), connect, at_once=True)


def remember(plan: Plan) -> dict[str, Memory]:
    """Return an empty memory for each instance, by its URL."""
    return {url: Memory(plan.revisit) for url in plan.instances}


def _refuse_closed(timeline: Timeline) -> None:
    if timeline.instance.closed(timeline.path):
        raise ConfigError(f"{timeline.instance.name}: its timeline {timeline.path} is closed; set a token of an "
                          "account there in MILLRACE_MASTODON_ACCESS_TOKEN, or choose another --instance")  # fmt: skip


def _poll(timeline: Timeline, cursor: Cursor | None, *, plan: Plan) -> Items:
    yield None  # the instance has answered
    yield from timeline.begin(cursor)
    while True:
        yield from timeline.pages.wait(timeline.instance.pace(plan.every, len(plan.paths)))
        yield from timeline.forward()
        yield from timeline.reread()
        yield from timeline.revisit()


def _stream(timeline: Timeline, cursor: Cursor | None, *, kind: str) -> Items:
    """Connect, catch up with what was posted since the cursor, then yield what the stream sends."""
    tag = {"tag": unquote(timeline.path.partition("/")[2])} if kind == "hashtag" else {}
    url = f"{timeline.instance.streaming_url()}?{urlencode({'stream': kind} | tag)}"
    try:
        for number, message in enumerate(messages(url, header=timeline.instance.headers, pings=True)):
            if number == 0:
                timeline.instance.accept()
                yield None  # connected: from here on nothing is missed
                yield from timeline.begin(cursor, rewind=True)
            elif message is None or isinstance(message, Pulse):
                yield message
            else:
                yield from _items(timeline, message)
            yield from timeline.revisit()
    except Refused as error:
        if error.status in REFUSED and _is_own(error):
            timeline.instance.refuse(error.status)
        raise


def _is_own(refused: Refused) -> bool:
    """Return whether the streaming server itself refused, and not a firewall before it.

    Mastodon's says why in a header, without a body (streaming/index.js of mastodon/mastodon); others send JSON.
    """
    bare = refused.status == HTTPStatus.UNAUTHORIZED and not refused.body.strip()
    return bare or is_own_error(refused.body) or "x-error-message" in refused.headers


def _items(timeline: Timeline, message: bytes | DeadLetter) -> Iterator[Item]:
    """Yield the items of one frame of the stream."""
    if isinstance(message, DeadLetter):
        yield message
        return
    try:
        frame = orjson.loads(message)
        event, payload = frame["event"], frame.get("payload")
        document: Any = orjson.loads(payload) if event in ("update", "status.update") else payload
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        yield DeadLetter.of(message, f"no frame of a stream: {type(error).__name__}: {error}")
        return
    if event == "update":
        yield from timeline.shown(document)
    elif event == "status.update":
        yield from timeline.items(document, lambda each: timeline.writer.edited(each, timeline.now))
    elif event == "delete":
        yield from timeline.deleted(str(payload))
    yield timeline.mark()
