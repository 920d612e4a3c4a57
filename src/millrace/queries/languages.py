"""Languages per window: how many posts were written in each."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from millrace.kafka.parse import Fold
from millrace.kafka.posts import Post
from millrace.queries import tally
from millrace.queries.text import cut

LENGTH = 64  # characters, as the column that stores it
UNKNOWN = "und"  # "undetermined" in BCP 47
TALLIES = tally.schema("language")


def language_counts(
    posts: DataFrame, window: str = "1 minute", slide: str | None = None, lateness: str = "10 minutes"
) -> DataFrame:
    """Count created posts per language and window.

    Input: post.v1 rows (source, event_time, operation, language). Output: source, window_start, window_end, language
    (as written, "und" where none is given), posts (one row per source, window and language). An edit counts nothing,
    a delete takes nothing away. `window`, `slide` (default: the window) and `lateness` are durations.
    """
    return count(tallies(posts).withWatermark("event_time", lateness), window, slide)


def count(tallies: DataFrame, window: str = "1 minute", slide: str | None = None) -> DataFrame:
    """Count as `language_counts` does, from rows of `tallies` that carry their watermark."""
    return tally.count(tallies, "language", window=window, slide=slide)


def tallies(posts: DataFrame) -> DataFrame:
    """Return a row a created post: source, event_time, language, posts (always 1)."""
    return posts.filter(F.col("operation") == "create").select(
        "source",
        "event_time",
        F.coalesce(cut("language", LENGTH), F.lit(UNKNOWN)).alias("language"),
        F.lit(1).cast("bigint").alias("posts"),
    )


def fold(window: str = "1 minute", slide: str | None = None) -> Fold:
    """Return the fold that computes `tallies` batch by batch."""
    return tally.fold(tallies, _names, TALLIES, window, slide)


def _names(post: Post) -> tuple[str]:
    return ((post.language or "")[:LENGTH].strip(" ") or UNKNOWN,)
