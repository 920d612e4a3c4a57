"""From a post's making to its row in SQLite, while a thousand posts a second pass: `--trigger 0s`.

Every hundredth post is a probe with a hashtag of its own. Its making is when it was due, so a producer that falls
behind counts as latency; it is seen when another connection to the database finds its row.
"""

import multiprocessing
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

from confluent_kafka import Producer
from rich.progress import Progress

from benchmarks import fill, mill, submit
from benchmarks.fill import Pattern
from benchmarks.report import Figure, percentile
from millrace.config import Settings

NAME = "latency"
RATE = 1_000  # posts a second
PROBE = 100  # one post in so many
COMMIT = 0.2  # seconds between the adapter's transactions
TICK = 0.01  # seconds between the producer's looks at the clock
WARM_UP = 60  # seconds before the measured time: the JVM compiles for a minute
LOOK = 0.002  # seconds between looks at the database
LAST = 60  # seconds to wait for the last probes
GOALS = {0.5: 358, 0.99: 492}  # milliseconds: Spark's own published figures, of a bigger machine
Times = dict[str, float]  # hashtag -> seconds since 1970
PROBES = "SELECT hashtag FROM hashtag_counts WHERE source = 'bluesky' AND window_start >= ? AND hashtag LIKE 'probe%'"


def measure(seconds: int) -> Iterator[Figure]:
    """Yield p50 and p99 for posts that are sent at once, and for posts in transactions as the adapter's."""
    with mill.servers("kafka") as settings:
        for way, commit in (("sent at once", 0.0), (f"transactions of {1000 * COMMIT:.0f} ms", COMMIT)):
            name = "latency-" + way.partition(" ")[0]
            made, seen = probe(settings, name, commit, seconds)
            yield from describe(way, made, seen, settings.home / "logs" / f"{name}.log")


def describe(way: str, made: Times, seen: Times, log: Path) -> Iterator[Figure]:
    """Yield the percentiles of the latency."""
    late = [1000 * (seen[hashtag] - made[hashtag]) for hashtag in made if hashtag in seen]
    batch = median(batch["batch_seconds"] for batch in submit.batches(log))
    for share, goal in GOALS.items():
        value = percentile(late, share)
        note = f"{len(late):,} of {len(made):,} probes seen; a batch took {1000 * batch:.0f} ms (median)"
        yield Figure(NAME, f"{way}: p{share * 100:.0f}", value, "ms", f"<= {goal}", value <= goal, note)


def probe(settings: Settings, name: str, commit: float, seconds: int) -> tuple[Times, Times]:
    """Return when the probes of the measured `seconds` were made, and when all were seen."""
    topic, database = mill.topic(settings, name, 3), settings.home / f"{name}.db"
    log = settings.home / "logs" / f"{name}.log"
    options = ["--name", name, "--topic", topic, "--trigger", "0s", "--sink", "sqlite", "--log-format", "json"]
    command = mill.millrace("run", "hashtags", *options)
    with (
        mill.process(command, log, {"MILLRACE_SQLITE_URL": f"sqlite:///{database}"}) as job,
        producer(settings.kafka_bootstrap, topic, commit) as start,
    ):
        mill.wait_for(job, log, lambda: mill.progress(settings, name).get("batch_id"))
        begin = time.time() + WARM_UP
        made = due(start, begin, begin + seconds)
        with fill.bar(f"probes, {name}", len(made)) as progress:
            return made, watch(database, made, begin + seconds + LAST, progress)


def due(start: float, begin: float, end: float) -> Times:
    """Return the probes that were due from `begin` to `end`, by a producer that began at `start`."""
    numbers = range(0, int((end - start) * RATE) + 1, PROBE)
    return {f"probe{n}": start + n / RATE for n in numbers if begin <= start + n / RATE < end}


def watch(database: Path, made: Times, end: float, progress: Progress) -> Times:
    """Return when the row of each probe in `made` was first seen, until the time `end`."""
    seen: Times = {}
    version = -1
    with closing(sqlite3.connect(database)) as connection:
        while time.time() < end and len(seen) < len(made):
            before, version = version, connection.execute("PRAGMA data_version").fetchone()[0]
            if version != before:  # somebody committed
                found = {hashtag for (hashtag,) in connection.execute(PROBES, [_minutes_ago(3)])}
                seen |= dict.fromkeys((found & made.keys()) - seen.keys(), time.time())
                progress.update(progress.task_ids[0], completed=len(seen))
            time.sleep(LOOK)
    return seen


def _minutes_ago(minutes: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M", time.gmtime(time.time() - 60 * minutes))


@contextmanager
def producer(bootstrap: str, topic: str, commit: float) -> Iterator[float]:
    """Send posts from a process of its own, in transactions of `commit` seconds unless 0; yield when it began."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    arguments = (bootstrap, topic, commit, fill.patterns(), there)
    child = context.Process(target=_produce, args=arguments, daemon=True)
    child.start()
    try:
        yield here.recv()
    finally:
        child.terminate()
        child.join()


def _produce(bootstrap: str, topic: str, commit: float, patterns: list[Pattern], there: Connection) -> None:
    transactions = {"transactional.id": topic} if commit else {}
    sender = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, **transactions})
    if commit:
        sender.init_transactions(30)
        sender.begin_transaction()
    start = committed = time.time()
    there.send(start)
    index = 0
    while True:
        for number in range(index, int((time.time() - start) * RATE)):
            _send(sender, topic, number, start + number / RATE, patterns)
            index = number + 1
        sender.poll(0)
        if commit and time.time() - committed >= commit:
            sender.commit_transaction(30)
            sender.begin_transaction()
            committed = time.time()
        time.sleep(TICK)


def _send(sender: Producer, topic: str, number: int, moment: float, patterns: list[Pattern]) -> None:
    key, value = patterns[number % len(patterns)].at(number, int(moment * 1e6))
    if number % PROBE == 0:
        value = fill.tagged(value, f"probe{number}")
    sender.produce(topic, value, key, number % 3, timestamp=int(moment * 1000), headers=fill.HEADERS)
