"""Hashtags per window: how many posts carried each."""

from collections import defaultdict
from functools import partial

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from millrace.durations import seconds
from millrace.kafka.parse import TEXT, TIME, Decoded, Fold
from millrace.queries.text import window_columns

USES = pa.schema([("source", TEXT), ("event_time", TIME), ("hashtag", TEXT), ("posts", pa.int64())])


def hashtag_counts(
    posts: DataFrame, window: str = "1 minute", slide: str | None = None, lateness: str = "10 minutes"
) -> DataFrame:
    """Count posts per hashtag and window.

    Input: post.v1 rows (source, event_time, operation, hashtags). Output: source, window_start, window_end, hashtag,
    posts (one row per source, window and hashtag). Creates only: an edit counts nothing, a delete takes nothing away.
    `window`, `slide` (default: the window, tumbling) and `lateness` are durations such as "5 minutes".
    """
    return count_uses(uses(posts).withWatermark("event_time", lateness), window, slide)


def count_uses(uses: DataFrame, window: str = "1 minute", slide: str | None = None) -> DataFrame:
    """Count as `hashtag_counts` does, from rows of `uses` that carry their watermark: Spark refuses a second one."""
    return (
        uses.groupBy("source", F.window("event_time", window, slide), "hashtag")
        .agg(F.sum("posts").alias("posts"))
        .select("source", *window_columns(), "hashtag", "posts")
    )


def uses(posts: DataFrame) -> DataFrame:
    """Explode created posts into hashtag uses: source, event_time, hashtag, posts (always 1)."""
    return posts.filter(F.col("operation") == "create").select(
        "source",
        "event_time",
        F.explode(F.array_distinct("hashtags")).alias("hashtag"),
        F.lit(1).cast("bigint").alias("posts"),
    )


def fold(window: str = "1 minute", slide: str | None = None) -> Fold:
    """Return the fold that computes `uses` batch by batch, in the coarsest step that divides window and slide."""
    minute = all(seconds(text) % 60 == 0 for text in (window, slide or window))
    return Fold(rows=uses, batch=partial(fold_uses, step=60_000_000 if minute else 1_000), schema=USES)


def fold_uses(decoded: Decoded, step: int) -> pa.RecordBatch:
    """Fold one batch into a row per source, `step` (microseconds) and hashtag.

    `event_time` is the newest of the group, so the watermark advances as if each post were a row; a group never spans
    two steps, so it falls into the same windows as each of its posts.
    """
    posts: defaultdict[tuple[str, int, str], int] = defaultdict(int)
    newest: dict[tuple[str, int, str], int] = {}
    for time, post in decoded:
        if post.hashtags and post.operation == "create":
            for hashtag in set(post.hashtags):
                key = (post.source, time // step, hashtag)
                posts[key] += 1
                newest[key] = max(time, newest.get(key, 0))
    arrays = [
        pa.array([source for source, _, _ in posts], TEXT),
        pa.array([newest[key] for key in posts], pa.int64()).cast(TIME),
        pa.array([hashtag for _, _, hashtag in posts], TEXT),
        pa.array(list(posts.values()), pa.int64()),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=USES)
