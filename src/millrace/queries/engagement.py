"""Engagement: what readers did with a post, as one number; per post, and as it was read in each window.

    engagement_score = 1 x favourites + 2 x reblogs + 3 x replies

A favourite is one tap, a reblog puts the post before others, a reply takes writing: the weights are options. A counter
that is not known counts as 0.
"""

from dataclasses import dataclass
from functools import reduce
from operator import add

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from millrace.queries.text import language_tag, watermarked, window_columns

COUNTERS = ("replies", "reblogs", "favourites")
WINDOW_COLUMNS = ("source", "event_time", "operation", *COUNTERS)
COLUMNS = ("id", "author", "language", "created_at", "observed_at", *WINDOW_COLUMNS)


@dataclass(frozen=True)
class Weights:
    """How much one of each is worth."""

    replies: float = 3.0
    reblogs: float = 2.0
    favourites: float = 1.0


def engagement_score(weights: Weights) -> Column:
    """Return the weighted sum of a post's counters as a double."""
    terms = [F.coalesce(name, F.lit(0)) * F.lit(float(getattr(weights, name))) for name in COUNTERS]
    return reduce(add, terms)


def is_reading() -> Column:
    """Return whether a row tells counters: a new post's are 0 unless said; an edit may come without any."""
    told = F.col("operation").isin("update", "metrics") & F.coalesce(*COUNTERS).isNotNull()
    return (F.col("operation") == "create") | told


def post_engagement(posts: DataFrame, weights: Weights | None = None) -> DataFrame:
    """Score each post at each reading of its counters; of rows with one id the newest by observed_at is right.

    Input: post.v1 rows (COLUMNS). Output: id, source, author (name, else id), language, created_at, event_time,
    replies, reblogs, favourites (null: not known), engagement_score (null once deleted), deleted, observed_at.
    """
    rows = posts.filter(is_reading() | (F.col("operation") == "delete"))
    deleted = F.col("operation") == "delete"
    return rows.select(
        "id",
        "source",
        F.substring(F.coalesce("author.username", "author.id"), 1, 300).alias("author"),
        language_tag("language").alias("language"),
        "created_at",
        "event_time",
        *(F.when(~deleted, F.col(name)).alias(name) for name in COUNTERS),
        F.when(~deleted, engagement_score(weights or Weights())).alias("engagement_score"),
        deleted.alias("deleted"),
        F.coalesce("observed_at", "event_time").alias("observed_at"),
    )


def engagement_windows(
    posts: DataFrame,
    weights: Weights | None = None,
    window: str = "1 minute",
    slide: str | None = None,
    lateness: str = "10 minutes",
) -> DataFrame:
    """Average and maximum score of the readings of each window: new posts, edits that tell counters, and revisits.

    Input: post.v1 rows (WINDOW_COLUMNS). Output: source, window_start, window_end, readings, average_score, max_score
    (one row per source and window). A reading falls into the window in which it was made, so a post that is revisited
    counts again with its newer counters; a delete takes nothing away. Durations as in the other analyses.
    """
    readings = watermarked(posts, lateness).filter(is_reading())
    score = engagement_score(weights or Weights())
    return (
        readings.groupBy("source", F.window("event_time", window, slide))
        .agg(F.count("*").alias("readings"), F.avg(score).alias("average_score"), F.max(score).alias("max_score"))
        .select("source", *window_columns(), "readings", "average_score", "max_score")
    )
