"""Hashtags: how many posts carried each in a window, and those of each post."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from millrace.kafka.parse import Fold
from millrace.kafka.posts import Post
from millrace.queries import tally

USES = tally.schema("hashtag")
PER_POST = ("id", "source", "event_time", "created_at", "observed_at", "operation", "hashtags")


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
    return tally.count(uses, "hashtag", window=window, slide=slide)


def uses(posts: DataFrame) -> DataFrame:
    """Explode created posts into hashtag uses: source, event_time, hashtag, posts (always 1).

    Spaces at a hashtag's end, which other producers may leave, are none of it: some stores would merge the two.
    """
    tags = F.array_distinct(F.expr("transform(hashtags, tag -> rtrim(tag))"))
    return posts.filter(F.col("operation") == "create").select(
        "source",
        "event_time",
        F.explode(F.array_remove(tags, "")).alias("hashtag"),
        F.lit(1).cast("bigint").alias("posts"),
    )


def fold(window: str = "1 minute", slide: str | None = None) -> Fold:
    """Return the fold that computes `uses` batch by batch."""
    return tally.fold(uses, _names, USES, window, slide)


def _names(post: Post) -> set[str]:
    return {tag for each in post.hashtags if (tag := each.rstrip(" "))}


def post_hashtags(posts: DataFrame) -> DataFrame:
    """Tell the hashtags of each post that has any, and of each edited one, which may have lost its.

    Input: post.v1 rows (PER_POST). Output: id, source, hashtags, hashtag_count, created_at, observed_at; one row a
    create with hashtags and one an edit. Of rows with one id the newest by observed_at is right.
    """
    tagged = (F.col("operation") == "create") & (F.size("hashtags") > 0)
    return posts.filter(tagged | (F.col("operation") == "update")).select(
        "id",
        "source",
        F.array_distinct("hashtags").alias("hashtags"),
        F.size(F.array_distinct("hashtags")).cast("bigint").alias("hashtag_count"),
        "created_at",
        F.coalesce("observed_at", "event_time").alias("observed_at"),
    )
