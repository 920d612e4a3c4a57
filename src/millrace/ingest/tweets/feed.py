"""Read tweets from a WebSocket as post.v1. It cannot replay: a lost connection is a gap."""

import time
from collections.abc import Sequence
from functools import partial

from millrace.errors import BadRecord
from millrace.ingest.events import SECOND, Clock, Cursor, DeadLetter, Event, Feed, Pulse, Stream
from millrace.ingest.frames import messages
from millrace.ingest.tweets.shapes import AS_IT_IS, Reading, parse
from millrace.kafka.topics import TWEETS


def feed(hosts: Sequence[str], reading: Reading = AS_IT_IS, clock: Clock = time.time) -> Feed:
    """Return the feed of a generator's `hosts` (ws:// or wss:// URLs), tried in turn."""
    return Feed("tweets", TWEETS, tuple(hosts), partial(_connect, reading=reading, clock=clock), replayable=False)


def _connect(host: str, cursor: Cursor | None, *, reading: Reading, clock: Clock) -> Stream:
    del cursor  # there is no replay
    for message in messages(host, pings=True):  # a generator that pings is quiet, not gone
        if message is None or isinstance(message, DeadLetter | Pulse):
            yield message
        else:
            yield read(message, int(clock() * SECOND), reading)


def read(message: bytes, now: int, reading: Reading, position: int | None = None) -> Event | DeadLetter:
    """Return the event of one tweet, or a dead letter at `position` that says why it is none."""
    try:
        return parse(message, now, reading)
    except BadRecord as error:
        return DeadLetter.of(message, str(error), position)
