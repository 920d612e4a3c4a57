"""What analyses share: window columns, the watermark, cut text."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

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
