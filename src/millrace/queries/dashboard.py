"""One line a minute: posts, authors, bots, engagement and the most used language."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from millrace.queries.engagement import COUNTERS, Weights, engagement_score, is_reading
from millrace.queries.text import language_tag, watermarked, window_columns

COLUMNS = ("source", "event_time", "operation", "author", "language", *COUNTERS)


def dashboard(
    posts: DataFrame,
    weights: Weights | None = None,
    window: str = "1 minute",
    slide: str | None = None,
    lateness: str = "10 minutes",
) -> DataFrame:
    """Sum up each window.

    Input: post.v1 rows (COLUMNS). Output: source, window_start, window_end; of the posts created: posts, authors
    (approximately: 5 % standard deviation), bots (posts by them), top_language (the first by alphabet among equals,
    null where none is known); and average_score of the readings as in `engagement_windows`. One row per source and
    window. Durations as in the other analyses.
    """
    rows = watermarked(posts, lateness).filter(is_reading())
    created = F.col("operation") == "create"
    score = engagement_score(weights or Weights())
    return (
        rows.groupBy("source", F.window("event_time", window, slide))
        .agg(
            F.count_if(created).alias("posts"),
            F.approx_count_distinct(F.when(created, F.col("author.id"))).alias("authors"),
            F.count_if(created & F.col("author.bot")).alias("bots"),
            F.avg(score).alias("average_score"),
            F.mode(F.when(created, language_tag("language")), deterministic=True).alias("top_language"),
        )
        .select("source", *window_columns(), "posts", "authors", "bots", "average_score", "top_language")
    )
