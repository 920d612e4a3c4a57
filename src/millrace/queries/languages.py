"""Languages per window: how many posts were written in each."""

from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from millrace.kafka.parse import Fold
from millrace.kafka.posts import Post
from millrace.names import LANGUAGE_LENGTH, UNKNOWN_LANGUAGE, language_tag
from millrace.queries import tally, text

LENGTH = LANGUAGE_LENGTH
TALLIES = tally.schema("language")


def language_counts(
    posts: DataFrame,
    window: str = "1 minute",
    slide: str | None = None,
    lateness: str = "10 minutes",
    regions: bool = False,
) -> DataFrame:
    """Count created posts per language and window.

    Input: post.v1 rows (source, event_time, operation, language). Output: source, window_start, window_end, language
    (the primary one, en of en-US; with `regions` the whole tag as BCP 47 writes it; "und" where none is named), posts
    (one row per source, window and language). An edit counts nothing, a delete takes nothing away. `window`, `slide`
    (default: the window) and `lateness` are durations.
    """
    return count(tallies(posts, regions).withWatermark("event_time", lateness), window, slide)


def count(tallies: DataFrame, window: str = "1 minute", slide: str | None = None) -> DataFrame:
    """Count as `language_counts` does, from rows of `tallies` that carry their watermark."""
    return tally.count(tallies, "language", window=window, slide=slide)


def tallies(posts: DataFrame, regions: bool = False) -> DataFrame:
    """Return a row a created post: source, event_time, language, posts (always 1)."""
    language = text.language_tag("language") if regions else text.primary_language("language")
    return posts.filter(F.col("operation") == "create").select(
        "source",
        "event_time",
        F.coalesce(language, F.lit(UNKNOWN_LANGUAGE)).alias("language"),
        F.lit(1).cast("bigint").alias("posts"),
    )


def fold(window: str = "1 minute", slide: str | None = None, regions: bool = False) -> Fold:
    """Return the fold that computes `tallies` batch by batch."""
    return tally.fold(partial(tallies, regions=regions), _tags if regions else _primary, TALLIES, window, slide)


def _tags(post: Post) -> tuple[str]:
    return (language_tag(post.language) or UNKNOWN_LANGUAGE,)


def _primary(post: Post) -> tuple[str]:
    return (_tags(post)[0].partition("-")[0],)
