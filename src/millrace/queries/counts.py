"""Posts per window: how many there were, in windows of ten seconds."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from millrace.kafka.parse import Fold
from millrace.kafka.posts import Post
from millrace.queries import tally

TALLIES = tally.schema()


def post_counts(
    posts: DataFrame, window: str = "10 seconds", slide: str | None = None, lateness: str = "10 minutes"
) -> DataFrame:
    """Count created posts per window.

    Input: post.v1 rows (source, event_time, operation). Output: source, window_start, window_end, posts (one row per
    source and window that has any). An edit counts nothing, a delete takes nothing away. `window`, `slide` (default:
    the window) and `lateness` are durations.
    """
    return count(tallies(posts).withWatermark("event_time", lateness), window, slide)


def count(tallies: DataFrame, window: str = "10 seconds", slide: str | None = None) -> DataFrame:
    """Count as `post_counts` does, from rows of `tallies` that carry their watermark."""
    return tally.count(tallies, window=window, slide=slide)


def tallies(posts: DataFrame) -> DataFrame:
    """Return a row a created post: source, event_time, posts (always 1)."""
    created = posts.filter(F.col("operation") == "create")
    return created.select("source", "event_time", F.lit(1).cast("bigint").alias("posts"))


def fold(window: str = "10 seconds", slide: str | None = None) -> Fold:
    """Return the fold that computes `tallies` batch by batch."""
    return tally.fold(tallies, _names, TALLIES, window, slide)


def _names(_: Post) -> tuple[str]:
    return ("",)  # all posts under one
