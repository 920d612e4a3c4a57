"""Kafka to SQLite: the hashtag job beside Spark's raw count and other ways of writing it, on one topic."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks import fill, mill, submit
from benchmarks.report import Figure, ratio
from benchmarks.submit import Run
from millrace.config import Settings

NAME = "hashtags"
BATCHES = 6  # micro-batches
FIRST = "raw, first to read"
VARIANTS = ("raw", "counted", "ours", "from_json", "pyarrow", "naive")
Rows = list[tuple[object, ...]]


def measure(posts: int, partitions: int = 3) -> Iterator[Figure]:
    """Yield whole-process seconds and steady records/s of each variant, and whether all results are identical."""
    with mill.servers("kafka") as settings:
        topic = mill.topic(settings, "posts", partitions)
        fill.fill(settings.kafka_bootstrap, topic, partitions, posts)
        runs = {FIRST: warm_up(settings, topic, posts)}
        with fill.bar("hashtags, other ways beside", len(VARIANTS)) as progress:
            for variant in VARIANTS:
                runs[variant] = run(settings, topic, variant, posts)
                progress.advance(progress.task_ids[0])
        tables = {variant: table(database(settings, variant)) for variant in VARIANTS[2:]}
    yield from describe(runs)
    yield from judge(runs)
    yield check(runs, tables, posts)


def run(settings: Settings, topic: str, variant: str, posts: int, *more: str) -> Run:
    """Run one variant over the whole topic, from an empty checkpoint into a database of its own."""
    options = ["--name", variant, "--topic", topic, "--once", "--max-offsets", str(bite(posts))]
    options += ["--checkpoint", str(settings.home / "checkpoints" / variant), "--sink", "sqlite", *more]
    log = settings.home / "logs" / f"{variant}.log"
    environment = {"MILLRACE_SQLITE_URL": f"sqlite:///{database(settings, variant)}"}
    return submit.run(command(variant, options), log, environment)


def bite(records: int) -> int:
    """Return how many records a micro-batch reads, so that none is a small remainder."""
    return records // BATCHES + BATCHES


def warm_up(settings: Settings, topic: str, posts: int) -> Run:
    """Count the topic once: a broker serves its first reader at two thirds to four fifths of its later pace."""
    return run(settings, topic, "raw", posts, "--checkpoint", str(settings.home / "checkpoints" / "warm-up"))


def command(variant: str, options: list[str]) -> list[str]:
    """Return the command line of a variant."""
    if variant == "ours":
        return submit.ours("hashtags", *options)
    submitted = submit.plain if variant == "naive" else submit.beside
    return submitted("variants.py", "--variant", variant, *options)


def database(settings: Settings, variant: str) -> Path:
    """Return the SQLite file of a variant."""
    return settings.home / f"{variant}.db"


def table(path: Path) -> Rows:
    """Return all rows of hashtag_counts in order."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM hashtag_counts ORDER BY 1, 2, 3, 4").fetchall()


def describe(runs: dict[str, Run]) -> Iterator[Figure]:
    """Yield what each run took."""
    raw = runs["raw"].steady
    for variant, found in runs.items():
        share = f"{ratio(found.steady, raw):.0%} of raw"
        yield Figure(NAME, f"{variant}: steady", found.steady, "records/s", note=share)
        yield Figure(NAME, f"{variant}: whole process", found.seconds, "s", note=f"{found.cpu:.1f} s of CPU")


def judge(runs: dict[str, Run]) -> Iterator[Figure]:
    """Yield the shares that have goals."""
    share = ratio(runs["ours"].steady, runs["raw"].steady)
    yield Figure(NAME, "ours / raw, steady", share, "", ">= 0.5", share >= 0.5)
    counted = ratio(runs["ours"].steady, runs["counted"].steady)
    yield Figure(NAME, "ours / counted, steady", counted, "", note="counted: raw, with our settings of the consumer")
    first = ratio(runs["ours"].steady, runs[FIRST].steady)
    yield Figure(NAME, f"ours / {FIRST}, steady", first, "", note="a broker serves its first reader more slowly")
    naive = ratio(runs["ours"].steady, runs["naive"].steady)
    yield Figure(NAME, "ours / naive, steady", naive, "x")


def check(runs: dict[str, Run], tables: dict[str, Rows], posts: int) -> Figure:
    """Say whether every variant read every post and all wrote the same rows."""
    read = all(found.records == posts for found in runs.values())
    same = all(rows == tables["ours"] for rows in tables.values()) and bool(tables["ours"])
    uses = sum(int(str(row[-1])) for row in tables["ours"])
    note = f"{len(tables['ours']):,} rows of {uses:,} uses of hashtags" if read and same else "they differ"
    return Figure(NAME, "results identical", float(read and same), "", "1", read and same, note)
