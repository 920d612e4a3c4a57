"""Authors per window: how many posts each wrote."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from millrace.kafka.parse import Fold
from millrace.kafka.posts import Post
from millrace.queries import tally
from millrace.queries.text import cut

LENGTH = 300  # characters, as the column that stores it
TALLIES = tally.schema("author")


def author_counts(
    posts: DataFrame, window: str = "1 minute", slide: str | None = None, lateness: str = "10 minutes"
) -> DataFrame:
    """Count created posts per author and window.

    Input: post.v1 rows (source, event_time, operation, author). Output: source, window_start, window_end, author (the
    author's id, for names change and repeat), posts (one row per source, window and author). Posts without an author
    are left out; an edit counts nothing, a delete takes nothing away. `window`, `slide` (default: the window) and
    `lateness` are durations.
    """
    return count(tallies(posts).withWatermark("event_time", lateness), window, slide)


def count(tallies: DataFrame, window: str = "1 minute", slide: str | None = None) -> DataFrame:
    """Count as `author_counts` does, from rows of `tallies` that carry their watermark."""
    return tally.count(tallies, "author", window=window, slide=slide)


def tallies(posts: DataFrame) -> DataFrame:
    """Return a row a created post with an author: source, event_time, author, posts (always 1)."""
    authors = posts.filter(F.col("operation") == "create").select(
        "source",
        "event_time",
        cut("author.id", LENGTH).alias("author"),
        F.lit(1).cast("bigint").alias("posts"),
    )
    return authors.filter(F.col("author").isNotNull())


def fold(window: str = "1 minute", slide: str | None = None) -> Fold:
    """Return the fold that computes `tallies` batch by batch."""
    return tally.fold(tallies, _names, TALLIES, window, slide)


def _names(post: Post) -> list[str]:
    author = post.author.id[:LENGTH].strip(" ") if post.author else ""
    return [author] if author else []
