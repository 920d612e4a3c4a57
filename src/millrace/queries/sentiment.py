"""Posts whose sentiment is asked for, and the rows that come of the answers."""

from decimal import Decimal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from millrace.kafka.utc import utc
from millrace.queries.text import cut, language_tag

COLUMNS = ("id", "source_id", "created_at", "author", "text", "language", "event_time", "operation", "hashtags")
ISO = "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'"
ID = "decimal(20, 0)"
LARGEST = Decimal(2**64 - 1)  # of the numeric ids that are kept as they are
HASHTAGS = 4_000  # characters of them that are kept


def editions(posts: DataFrame) -> DataFrame:
    """Return each edition of a post that somebody wrote, as it was first and after each edit.

    Input: post.v1 rows (COLUMNS). Output: m_id (the provider's numeric id, else null), created_at (ISO 8601, UTC),
    username, bot, mastodon_text, post_id, language, event_time, hashtags (apart by spaces), revision (higher for a
    newer edition, even, so that the odd one above it is of the same edition). One row per created or edited post.
    """
    return posts.filter(F.col("operation").isin("create", "update")).select(
        numeric("source_id").alias("m_id"),
        F.when(F.col("created_at").isNotNull(), utc("created_at", ISO)).alias("created_at"),
        cut("author.username", 300).alias("username"),
        F.col("author.bot").alias("bot"),
        F.col("text").alias("mastodon_text"),
        F.col("id").alias("post_id"),
        language_tag("language").alias("language"),
        "event_time",
        _joined("hashtags", HASHTAGS).alias("hashtags"),
        (F.unix_micros("event_time") * 2).alias("revision"),
    )


def numeric(column: str) -> Column:
    """Return the whole number from 0 to 2^64 - 1 that a text is, else null."""
    number = F.when(F.col(column).rlike(r"^[0-9]{1,20}\z"), F.col(column).cast(ID))
    return F.when(number <= F.lit(LARGEST), number)


def _joined(column: str, length: int) -> Column:
    """Return the texts of an array, apart by spaces, as many as `length` characters hold; null where there are none."""
    joined = F.array_join(column, " ")
    whole = F.when(F.char_length(joined) <= length, joined).otherwise(
        F.regexp_replace(F.substring(joined, 1, length + 1), r"[^ ]*\z", "")  # without the one that is cut off
    )
    return F.nullif(F.trim(whole), F.lit(""))
