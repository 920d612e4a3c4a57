"""Posts straight into Kafka, by the million: the simulator's, turned into post.v1 by the adapter's own parser."""

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from queue import Queue
from typing import Any

import orjson
from confluent_kafka import Producer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from millrace.errors import MillraceError
from millrace.ingest.bluesky import posts as bluesky
from millrace.ingest.events import Event
from millrace.ingest.values import iso
from millrace.simulate.jetstream import encode
from millrace.simulate.posts import Events
from millrace.simulate.scenario import Scenario

PATTERNS = 5_000  # different posts; ids and times differ in all
RKEY, TIME = "@rkey@", "@time@"
HEADERS: dict[str, str | bytes | None] = {"schema": b"post.v1"}
STEP = 10_000  # posts between two moves of the progress bar
SETTINGS = {"linger.ms": 50, "batch.size": 1 << 20, "queue.buffering.max.messages": 200_000}
Json = dict[str, Any]


@cache
def samples(count: int = PATTERNS) -> list[Json]:
    """Return `count` posts as post.v1, with the hashtags, texts and authors of the simulator's feed (seed 1)."""
    events = Events(Scenario(count=4 * count, speed=0))
    found: list[Json] = []
    for index in range(4 * count):
        item = bluesky.parse(encode(events.at(index), v2=False)[0], time.time_ns() // 1000)
        if isinstance(item, Event):
            found.append(orjson.loads(item.value))
        if len(found) == count:
            return found
    raise MillraceError(f"the simulator gave {len(found)} posts only")


@dataclass(frozen=True)
class Pattern:
    """A post without its record key and time; the bytes are templates."""

    key: bytes
    value: bytes

    @classmethod
    def of(cls, post: Json) -> "Pattern":
        """Return the pattern of a post.v1 object."""
        author = post["author"]["id"]
        post = post | {
            "id": f"at://{author}/{bluesky.POSTS}/{RKEY}",
            "event_id": f"{author}/{RKEY}/{RKEY}/{post['operation']}",
            "source_id": RKEY,
            "event_time": TIME,
            "url": f"https://bsky.app/profile/{author}/post/{RKEY}",
        }
        return cls(template(post["id"].encode()), template(orjson.dumps(post)))

    def at(self, index: int, time_us: int) -> tuple[bytes, bytes]:
        """Return key and value of post number `index`, which happened at `time_us` (microseconds)."""
        names = {b"rkey": b"%013d" % index, b"time": iso(time_us).encode()}
        return self.key % names, self.value % names


def template(text: bytes) -> bytes:
    return text.replace(b"%", b"%%").replace(RKEY.encode(), b"%(rkey)b").replace(TIME.encode(), b"%(time)b")


def tagged(value: bytes, hashtag: str) -> bytes:
    """Return a post's value as a new post with this hashtag only."""
    return orjson.dumps(orjson.loads(value) | {"hashtags": [hashtag], "operation": "create"})


@cache
def patterns() -> list[Pattern]:
    """Return the patterns of `samples`."""
    return [Pattern.of(post) for post in samples()]


@dataclass(frozen=True)
class Work:
    """What the filling processes share; `told` takes numbers of posts done, None at a process's end."""

    bootstrap: str
    topic: str
    start: int  # time of the first post, microseconds
    rate: float  # posts a second of event time
    patterns: list[Pattern]
    told: Queue[int | None]


def fill(
    bootstrap: str,
    topic: str,
    partitions: int,
    posts: int,
    rate: float = 1000.0,
    *,
    made_of: list[Pattern] | None = None,
) -> None:
    """Write `posts` posts, `rate` a second of event time and the last one dated now; a process a partition.

    `made_of` are other patterns than those of posts.
    """
    start = time.time_ns() // 1000 - int(posts / rate * 1e6)
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(partitions, context) as pool:
        work = Work(bootstrap, topic, start, rate, made_of or patterns(), manager.Queue())
        shares = [pool.submit(_fill, work, place, range(place, posts, partitions)) for place in range(partitions)]
        _watch(work.told, partitions, posts)
        for share in shares:
            share.result()


def _watch(told: Queue[int | None], partitions: int, posts: int) -> None:
    with bar(f"{posts:,} records into Kafka", posts) as progress:
        while partitions:
            count = told.get()
            partitions -= count is None
            progress.advance(progress.task_ids[0], count or 0)


def bar(text: str, total: int) -> Progress:
    """Return a progress bar on stderr with one task."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=Console(stderr=True))
    progress.add_task(text, total=total)
    return progress


def _fill(work: Work, partition: int, numbers: range) -> None:
    try:
        producer = Producer({"bootstrap.servers": work.bootstrap, **SETTINGS})
        for done, index in enumerate(numbers, 1):
            time_us = work.start + int(index / work.rate * 1e6)
            key, value = work.patterns[index % len(work.patterns)].at(index, time_us)
            send = partial(
                producer.produce, work.topic, value, key, partition, timestamp=time_us // 1000, headers=HEADERS
            )
            while not _sent(producer, send):
                producer.poll(0.1)
            if done % STEP == 0:
                work.told.put(STEP)
        if producer.flush(120):
            raise MillraceError(f"Kafka at {work.bootstrap} did not take all posts within two minutes")
        work.told.put(len(numbers) % STEP)
    finally:
        work.told.put(None)


def _sent(producer: Producer, send: Callable[[], None]) -> bool:
    try:
        send()
    except BufferError:  # the queue is full: the broker is slower than we are
        return False
    producer.poll(0)
    return True
