"""Documents of tweets in windows, with the case numbers of a country beside them."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from millrace.kafka.utc import utc
from millrace.names import CASE_NUMBERS
from millrace.queries.enrich import enrich

SECONDS, MICROSECONDS = "yyyy-MM-dd'T'HH:mm:ss'Z'", "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'"


def cases(windows: DataFrame, numbers: DataFrame, country: str) -> DataFrame:
    """Return a document of each window.

    Input: rows of `tweets.tweet_windows`, and numbers by country (`country`, CASE_NUMBERS, `as_of`, `source_url`).
    Output: hash, source, content, timestamp (the window's end, ISO 8601 in UTC), CASE_NUMBERS (null: not known),
    country, as_of, source_url, window_start, window_end, tweets, cut, hashtags, matched (none: false).
    `hash` is the SHA-256 (hex) of source, start and end of the window as `tweets|2026-11-28T12:00:00.000000Z|...`.
    """
    rows = enrich(windows.withColumn("country", F.lit(country)), numbers, "country")
    place = F.concat_ws("|", "source", utc("window_start", MICROSECONDS), utc("window_end", MICROSECONDS))
    return rows.select(
        F.sha2(place, 256).alias("hash"),
        "source",
        "content",
        utc("window_end", SECONDS).alias("timestamp"),
        *CASE_NUMBERS,
        "country",
        "as_of",
        "source_url",
        "window_start",
        "window_end",
        "tweets",
        "cut",
        "hashtags",
        "matched",
    )
