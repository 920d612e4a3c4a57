"""The adapter as a process against a server that never lets it wait: events a second into committed Kafka."""

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from multiprocessing.connection import Connection

from confluent_kafka import Consumer, TopicPartition
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode

from benchmarks import fill, mill
from benchmarks.report import Figure
from millrace.config import Settings
from millrace.ingest.bluesky.posts import POSTS
from millrace.kafka.topics import BLUESKY
from millrace.simulate.jetstream import encode
from millrace.simulate.posts import Events
from millrace.simulate.scenario import Scenario

NAME = "ingest"
GOAL = 10_000  # events a second
PIECE = 1 << 18  # bytes a write
Commits = list[tuple[float, int]]  # when, and how many offsets were committed by then


def measure(events: int) -> Iterator[Figure]:
    """Yield events/s between the first and the last commit that were seen, and whether every event arrived once."""
    with mill.servers("kafka") as settings, server(events) as url:
        log = settings.home / "logs" / "ingest.log"
        command = mill.millrace("ingest", "bluesky", "--url", url, "--limit", events)
        with mill.process(command, log) as adapter, reader(settings) as consumer:
            seen: Commits = []
            with fill.bar("events through the adapter", events) as progress:
                while adapter.poll() is None:
                    seen.append((time.monotonic(), committed(consumer)))
                    progress.update(progress.task_ids[0], completed=seen[-1][1])
                    time.sleep(mill.LOOK)
            found = distinct(consumer)
    speed = rate(seen)
    yield Figure(NAME, "into committed Kafka", speed, "events/s", f">= {GOAL:,}", speed >= GOAL)
    yield Figure(NAME, "distinct records in the topic", found, "", f"{events:,}", found == events)


def rate(seen: Commits) -> float:
    """Return offsets a second between the first and the last commit of `seen`."""
    moves = [later for earlier, later in pairwise(seen) if later[1] > earlier[1]]
    (began, first), (ended, last) = moves[0], moves[-1]
    return (last - first) / (ended - began) if ended > began else 0.0


@contextmanager
def reader(settings: Settings) -> Iterator[Consumer]:
    """Yield a consumer of committed records."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap,
            "group.id": "benchmark",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()


def committed(consumer: Consumer) -> int:
    """Return the number of committed offsets; each transaction's marker takes one a partition."""
    return sum(consumer.get_watermark_offsets(place, timeout=10)[1] for place in partitions(consumer))


def distinct(consumer: Consumer) -> int:
    """Read the topic to its end and return the number of distinct event ids; -1 when a record came twice."""
    places = partitions(consumer)
    consumer.assign([TopicPartition(place.topic, place.partition, 0) for place in places])
    ids: set[str | bytes] = set()
    records = ended = 0
    while ended < len(places):
        for message in consumer.consume(5_000, timeout=1):
            ended += message.error() is not None
            if message.error() is None:
                records += 1
                ids.add(dict(message.headers() or [])["event_id"] or b"")
    return len(ids) if records == len(ids) else -1


def partitions(consumer: Consumer) -> list[TopicPartition]:
    """Return the partitions of the topic of posts."""
    topic = consumer.list_topics(BLUESKY.name, timeout=10).topics[BLUESKY.name]
    return [TopicPartition(BLUESKY.name, number) for number in topic.partitions]


@contextmanager
def server(events: int) -> Iterator[str]:
    """Serve `events` frames of posts, made before, from a process of its own; yield its URL."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=_serve, args=(events, there), daemon=True)
    child.start()
    try:
        yield here.recv()
    finally:
        child.terminate()
        child.join()


def _serve(events: int, there: Connection) -> None:
    pieces = list(_pieces(events))

    async def blast(socket: ServerConnection) -> None:
        for piece in pieces:
            socket.transport.write(piece)
            await socket.drain()
        await socket.wait_closed()

    async def run() -> None:
        async with serve(blast, "127.0.0.1", 0, compression=None, ping_interval=None) as listening:
            there.send(f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
            await asyncio.Event().wait()

    asyncio.run(run())


def _pieces(events: int) -> Iterator[bytes]:
    """Yield WebSocket frames of the first `events` posts of the simulated feed, joined to large writes."""
    source = Events(Scenario(count=2 * events, speed=0))
    posts = (event for event in map(source.at, range(2 * events)) if event.collection == POSTS)
    piece = bytearray()
    for _, event in zip(range(events), posts, strict=False):
        piece += Frame(Opcode.TEXT, encode(event, v2=False)[0]).serialize(mask=False)
        if len(piece) > PIECE:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)
