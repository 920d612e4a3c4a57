"""Posts per name and window: what hashtags, languages, authors and plain counts share, in Spark SQL and as a fold."""

from collections.abc import Callable, Iterable
from functools import partial
from math import gcd

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from millrace.durations import seconds
from millrace.kafka.parse import TEXT, TIME, Decoded, Fold
from millrace.kafka.posts import Post
from millrace.queries.text import window_columns

Names = Callable[[Post], Iterable[str]]  # under which names a created post counts, each at most once


def count(rows: DataFrame, *names: str, window: str, slide: str | None = None) -> DataFrame:
    """Sum `posts` of rows (source, event_time, `names`, posts) that carry their watermark.

    Output: source, window_start, window_end, `names`, posts (one row per source, window and names).
    """
    return (
        rows.groupBy("source", F.window("event_time", window, slide), *names)
        .agg(F.sum("posts").alias("posts"))
        .select("source", *window_columns(), *names, "posts")
    )


def schema(*names: str) -> pa.Schema:
    """Return the Arrow schema of the rows that `count` takes, for one name or none."""
    return pa.schema([("source", TEXT), ("event_time", TIME), *((name, TEXT) for name in names), ("posts", pa.int64())])


def fold(
    rows: Callable[[DataFrame], DataFrame], names: Names, schema: pa.Schema, window: str, slide: str | None
) -> Fold:
    """Return the fold that computes `rows` batch by batch, in the coarsest step that divides window and slide."""
    step = gcd(*(round(seconds(text) * 1000) for text in (window, slide or window))) * 1000
    return Fold(rows=rows, batch=partial(fold_batch, names=names, step=step, schema=schema), schema=schema)


def fold_batch(decoded: Decoded, names: Names, step: int, schema: pa.Schema) -> pa.RecordBatch:
    """Fold the created posts of one batch into a row per source, `step` (microseconds) and name.

    `event_time` is the newest of the group, so the watermark advances as if each post were a row; a group never spans
    two steps, so it falls into the same windows as each of its posts.
    """
    groups: dict[tuple[str, int, str], list[int]] = {}  # posts and newest time of each
    for time, post in decoded:
        if post.operation == "create":
            for name in names(post):
                group = groups.setdefault((post.source, time // step, name), [0, 0])
                group[0] += 1
                group[1] = max(group[1], time)
    known = {
        "source": pa.array([source for source, _, _ in groups], TEXT),
        "event_time": pa.array([newest for _, newest in groups.values()], pa.int64()).cast(TIME),
        "posts": pa.array([posts for posts, _ in groups.values()], pa.int64()),
    }
    named = pa.array([name for _, _, name in groups], TEXT)
    return pa.RecordBatch.from_arrays([known.get(field.name, named) for field in schema], schema=schema)
