"""What analyses share: window columns, the watermark, cut text, languages."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from millrace.names import LANGUAGE, LANGUAGE_LENGTH, UNKNOWN_LANGUAGE

_DELAY = "spark.watermarkDelayMs"  # Spark's own mark on a column that carries a watermark


def window_columns() -> tuple[Column, Column]:
    """Return window_start and window_end of a `window` column, both UTC timestamps."""
    return F.col("window.start").alias("window_start"), F.col("window.end").alias("window_end")


def watermarked(rows: DataFrame, lateness: str) -> DataFrame:
    """Return `rows` with a watermark on event_time, unless it carries one already: Spark refuses a second."""
    if _DELAY in rows.schema["event_time"].metadata:
        return rows
    return rows.withWatermark("event_time", lateness)


def watermark_mark(rows: DataFrame) -> dict[str, object]:
    """Return the metadata by which Spark knows that a column goes with the watermark; none in a batch."""
    return {key: value for key, value in rows.schema["event_time"].metadata.items() if key == _DELAY}


def cut(column: str, length: int) -> Column:
    """Return the first `length` characters without spaces around them; null where nothing is left.

    MySQL's binary collation ignores trailing spaces, so a key with some would merge with the one without.
    """
    return F.nullif(F.trim(F.substring(column, 1, length)), F.lit(""))


def language_tag(column: str) -> Column:
    """Return what `names.language_tag` makes of a text that may be as its author wrote it; null for no language."""
    subtags = _subtags(column)
    cased = F.transform(subtags, lambda subtag, at: _cased(subtag, at, subtags))
    return F.when(_names_language(column), F.array_join(cased, "-"))


def primary_language(column: str) -> Column:
    """Return the primary language of a tag, such as en of en-US; null for no language."""
    return F.when(_names_language(column), _subtags(column)[0])


def _subtags(column: str) -> Column:
    return F.split(F.translate(F.lower(F.trim(column)), "_", "-"), "-")


def _names_language(column: str) -> Column:
    is_tag = (F.char_length(column) <= LANGUAGE_LENGTH) & F.trim(column).rlike(rf"^(?:{LANGUAGE})\z")
    return is_tag & (_subtags(column)[0] != UNKNOWN_LANGUAGE)


def _cased(subtag: Column, at: Column, subtags: Column) -> Column:
    """Write a region in upper case and a script in title case; behind a singleton, such as x, all is in lower case."""
    length = F.char_length(subtag)
    lower = (at == 0) | F.exists(F.slice(subtags, 1, at), lambda before: F.char_length(before) == 1)
    return (
        F.when(lower, subtag).when(length == 2, F.upper(subtag)).when(length == 4, F.initcap(subtag)).otherwise(subtag)
    )
