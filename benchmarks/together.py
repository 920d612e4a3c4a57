"""The seven social analyses in one Spark application beside seven applications at once, on one topic."""

import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks import fill, mill, submit
from benchmarks.report import Figure, ratio
from millrace.applications.mastodon import KNOWN as ANALYSES
from millrace.applications.mastodon import choosing
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.sinks.sql import tables
from millrace.spark import launch
from millrace.stack.process import tail

NAME = "together"
BATCHES = 4  # micro-batches of each query at least
LOOK = 0.25  # seconds between looks at the memory
MIB = 1024**2
Commands = dict[str, list[str]]  # by the name of the log


@dataclass(frozen=True)
class Taken:
    """What all applications of one way took: wall clock, and the most memory (bytes) that they held at once."""

    seconds: float
    memory: int


def measure(posts: int) -> Iterator[Figure]:
    """Yield memory and posts/s of both ways, and whether all tables are identical."""
    with mill.servers("kafka") as settings:
        topic = mill.topic(settings, "posts", 3)
        fill.fill(settings.kafka_bootstrap, topic, 3, posts)
        found, rows = {}, {}
        for way, make in (("one application", one), ("seven applications", seven)):
            place = settings.home / way.partition(" ")[0]
            options = ["--topic", topic, "--once", "--max-offsets", str(max(1, posts // (BATCHES - 1)))]
            found[way] = run(make([*options, "--checkpoint", str(place / "checkpoint")]), place, settings)
            rows[way] = contents(place / "millrace.db")
    yield from describe(found, posts)
    one_way, other = rows.values()
    same = one_way == other and all(one_way.values())
    note = f"{sum(map(len, one_way.values())):,} rows in {len(one_way)} tables" if same else "they differ"
    yield Figure(NAME, "results identical", float(same), "", "1", same, note)


def one(options: list[str]) -> Commands:
    """Return the command line of one application with all analyses."""
    return {"mastodon": submit.ours("mastodon", *choosing(*ANALYSES.values()), *options)}


def seven(options: list[str]) -> Commands:
    """Return the command lines of an application for each analysis; --checkpoint comes last."""
    *rest, checkpoint = options
    return {name: submit.ours(name, *rest, f"{checkpoint}-{name}") for name in ANALYSES}


def run(commands: Commands, place: Path, settings: Settings) -> Taken:
    """Run all commands at once to their end, with their own SQLite file in `place`; raises MillraceError."""
    place.mkdir()
    environment = {**launch.environment(), "MILLRACE_SQLITE_URL": f"sqlite:///{place / 'millrace.db'}"}
    began, most = time.monotonic(), 0
    with ExitStack() as running, fill.bar(f"analyses, {place.name}", len(commands)) as progress:
        logs = {name: place / f"{name}.log" for name in commands}
        children = {
            name: running.enter_context(mill.process(command, logs[name], environment))
            for name, command in commands.items()
        }
        while (ended := sum(child.poll() is not None for child in children.values())) < len(children):
            most = max(most, sum(memory(child) for child in children.values()))
            progress.update(progress.task_ids[0], completed=ended)
            time.sleep(LOOK)
        progress.update(progress.task_ids[0], completed=len(children))
        for name, child in children.items():
            if child.returncode:
                raise MillraceError(f"{name} ended with exit code {child.returncode}: {tail(logs[name])}")
    return Taken(time.monotonic() - began, most)


def memory(child: subprocess.Popen[bytes]) -> int:
    """Return the proportional set size of a process and all it started, in bytes: shared pages count once."""
    total = 0
    with suppress(psutil.Error):
        root = psutil.Process(child.pid)
        for each in (root, *root.children(recursive=True)):
            with suppress(psutil.Error):
                total += each.memory_full_info().pss
    return total


def contents(database: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of every table in the order of its key."""
    with closing(sqlite3.connect(database)) as connection:
        return {
            table.name: connection.execute(
                f"SELECT * FROM {table.name} ORDER BY {', '.join(key.name for key in table.primary_key)}"
            ).fetchall()
            for table in tables.metadata.sorted_tables
        }


def describe(found: dict[str, Taken], posts: int) -> Iterator[Figure]:
    """Yield what each way took, and how they compare."""
    for way, taken in found.items():
        yield Figure(NAME, f"{way}: memory at most", taken.memory / MIB, "MiB")
        note = f"each post in all seven, {taken.seconds:.1f} s from start to end"
        yield Figure(NAME, f"{way}: posts", ratio(posts, taken.seconds), "posts/s", note=note)
    one_way, other = found.values()
    yield Figure(NAME, "memory, one / seven", ratio(one_way.memory, other.memory), "x")
    yield Figure(NAME, "posts/s, one / seven", ratio(other.seconds, one_way.seconds), "x")
