"""From a post's making to its copy in `mastodon-filtered`: job filtered in real-time mode beside micro-batches.

A thousand posts a second pass, as in `latency`; every hundredth is a probe, and seen when a consumer of the topic
has it.
"""

import time
from collections.abc import Iterator
from contextlib import closing

import orjson
from confluent_kafka import OFFSET_END, Consumer, TopicPartition
from rich.progress import Progress

from benchmarks import fill, latency, mill
from benchmarks.latency import Times
from benchmarks.report import Figure, percentile
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.kafka.results import FILTERED

NAME = "realtime"
WAYS = {"micro-batches": ("--trigger", "0s"), "real time": ("--realtime",)}
GOALS = {0.5: 103, 0.99: 138}  # milliseconds, of real time
FIRST = 120  # seconds until the first post must have passed
PARTITIONS = 3  # real time needs a core for each


def measure(seconds: int) -> Iterator[Figure]:
    """Yield p50 and p99 of both ways."""
    with mill.servers("kafka") as settings:
        mill.topic(settings, FILTERED.topic.name, PARTITIONS)
        for way, options in WAYS.items():
            yield from describe(way, *probe(settings, way, options, seconds))


def describe(way: str, made: Times, seen: Times) -> Iterator[Figure]:
    """Yield the percentiles of the latency; goals are those of real time."""
    late = [1000 * (seen[name] - made[name]) for name in made if name in seen]
    for share, goal in GOALS.items():
        value, note = percentile(late, share), f"{len(late):,} of {len(made):,} probes seen"
        wanted = {"goal": f"<= {goal}", "met": value <= goal} if way == "real time" else {}
        yield Figure(NAME, f"{way}: p{share * 100:.0f}", value, "ms", note=note, **wanted)


def probe(settings: Settings, way: str, options: tuple[str, ...], seconds: int) -> tuple[Times, Times]:
    """Return when the probes of the measured `seconds` were made, and when they were seen in the topic."""
    name = f"filtered-{way.replace(' ', '-')}"
    topic, log = mill.topic(settings, name, PARTITIONS), settings.home / "logs" / f"{name}.log"
    command = mill.millrace("run", "filtered", "--cores", PARTITIONS, "--name", name, "--topic", topic, *options)
    with (
        closing(consumer(settings.kafka_bootstrap)) as reader,
        mill.process(command, log),
        latency.producer(settings.kafka_bootstrap, topic, 0.0) as start,
    ):
        if next(passed(reader, time.time() + FIRST), None) is None:
            raise MillraceError(f"no post passed within {FIRST} s: see {log}")
        begin = time.time() + latency.WARM_UP
        made = latency.due(start, begin, begin + seconds)
        with fill.bar(f"probes, {way}", len(made)) as progress:
            return made, watch(reader, made, begin + seconds + latency.LAST, progress)


def consumer(bootstrap: str) -> Consumer:
    """Return a consumer of what comes into the topic from now on."""
    made = Consumer({"bootstrap.servers": bootstrap, "group.id": NAME, "fetch.wait.max.ms": 5})
    made.assign([TopicPartition(FILTERED.topic.name, number, OFFSET_END) for number in range(PARTITIONS)])
    return made


def passed(reader: Consumer, end: float) -> Iterator[list[str]]:
    """Yield the probes among the posts that come, poll by poll, until the time `end`."""
    while time.time() < end:
        if records := reader.consume(500, 0.01):
            values = [record.value() or b"" for record in records if not record.error()]
            yield [orjson.loads(value)["hashtags"][0] for value in values if b'"hashtags":["probe' in value]


def watch(reader: Consumer, made: Times, end: float, progress: Progress) -> Times:
    """Return when each probe in `made` was first seen, until all are or the time `end`."""
    seen: Times = {}
    for names in passed(reader, end):
        seen = dict.fromkeys(made.keys() & set(names), time.time()) | seen
        progress.update(progress.task_ids[0], completed=len(seen))
        if len(seen) == len(made):
            break
    return seen
