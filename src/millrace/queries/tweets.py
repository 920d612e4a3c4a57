"""Tweets in windows: their texts in the order of event time, how many they are, and the hashtags that most carry."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from millrace.queries.text import watermarked, window_columns

COLUMNS = ("id", "source", "event_time", "operation", "text", "hashtags")
MOST_TEXTS = 100_000  # that a window can hold


def tweet_windows(
    posts: DataFrame,
    window: str = "20 seconds",
    slide: str | None = None,
    lateness: str = "10 minutes",
    *,
    max_texts: int = 1_000,
    top: int = 10,
) -> DataFrame:
    """Gather the tweets of each window.

    Input: post.v1 rows (COLUMNS). Output: source, window_start, window_end, tweets (created ones), content (their texts
    in the order of event time, then id; at most `max_texts`), cut (how many texts that leaves out) and hashtags: the
    `top` most used, of equal ones the first by alphabet, each with its tweets. One row per source and window. Of the
    texts, no more than `max_texts` are state. Durations as in the other analyses.
    """
    made = watermarked(posts, lateness).filter(F.col("operation") == "create")
    order = F.when(F.col("text").isNotNull(), F.struct("event_time", "id"))
    tags = F.array_distinct(F.coalesce("hashtags", _nothing()))
    return (
        made.groupBy("source", F.window("event_time", window, slide))
        .agg(
            F.count("*").alias("tweets"),
            F.count("text").alias("texts"),
            F.min_by("text", order, max_texts).alias("first"),
            F.collect_list(F.when(F.size(tags) > 0, tags)).alias("used"),
        )
        .withColumn("content", F.coalesce("first", _nothing()))
        .select(
            "source",
            *window_columns(),
            "tweets",
            "content",
            (F.col("texts") - F.size("content")).alias("cut"),
            most_used(F.flatten("used"), top).alias("hashtags"),
        )
    )


def most_used(names: Column, top: int) -> Column:
    """Return the `top` most frequent of an array of names as structs (hashtag, tweets), in one pass over it, sorted."""
    ranked = "array<struct<rank: bigint, name: string>>"
    none = F.struct(
        F.lit(None).cast("string").alias("name"),
        F.lit(0).cast("bigint").alias("uses"),
        F.array().cast(ranked).alias("best"),
    )

    def ended(run: Column) -> Column:
        entry = F.struct((-run["uses"]).alias("rank"), run["name"].alias("name"))
        return F.slice(F.array_sort(F.array_append(run["best"], entry)), 1, top)

    def step(run: Column, name: Column) -> Column:
        same = name == run["name"]
        more = F.struct(run["name"].alias("name"), (run["uses"] + 1).alias("uses"), run["best"].alias("best"))
        best = F.when(run["name"].isNull(), run["best"]).otherwise(ended(run))
        return F.when(same, more).otherwise(
            F.struct(name.alias("name"), F.lit(1).cast("bigint").alias("uses"), best.alias("best"))
        )

    runs = F.aggregate(
        F.array_sort(names), none, step, lambda run: F.when(run["name"].isNull(), run["best"]).otherwise(ended(run))
    )
    return F.transform(runs, lambda each: F.struct(each["name"].alias("hashtag"), (-each["rank"]).alias("tweets")))


def _nothing() -> Column:
    return F.array().cast("array<string>")
