"""Documents of tweets in windows, with the case numbers of a country beside them."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from millrace.names import CASE_NUMBERS
from millrace.queries.enrich import enrich

SECONDS, MICROSECONDS = "yyyy-MM-dd'T'HH:mm:ss", "yyyy-MM-dd'T'HH:mm:ss.SSSSSS"


def cases(windows: DataFrame, numbers: DataFrame, country: str) -> DataFrame:
    """Return a document of each window.

    Input: rows of `tweets.tweet_windows`, and numbers by country (`country`, CASE_NUMBERS, `as_of`, `source_url`).
    Output: hash, source, content, timestamp (the window's end, ISO 8601 in UTC), CASE_NUMBERS (null: not known),
    country, as_of, source_url, window_start, window_end, tweets, cut, hashtags, matched (none: false).
    `hash` is the SHA-256 (hex) of source, start and end of the window as `tweets|2026-11-28T12:00:00.000000Z|...`.
    """
    rows = enrich(windows.withColumn("country", F.lit(country)), numbers, "country")
    place = F.concat_ws("|", "source", _utc("window_start", MICROSECONDS), _utc("window_end", MICROSECONDS))
    return rows.select(
        F.sha2(place, 256).alias("hash"),
        "source",
        "content",
        _utc("window_end", SECONDS).alias("timestamp"),
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


def _utc(column: str, form: str) -> Column:
    """Write a time in UTC, whatever the session's time zone."""
    return F.concat(F.date_format(F.to_utc_timestamp(column, F.current_timezone()), form), F.lit("Z"))
