"""What analyses share: window columns."""

from pyspark.sql import Column
from pyspark.sql import functions as F


def window_columns() -> tuple[Column, Column]:
    """Return window_start and window_end of a `window` column, both UTC timestamps."""
    return F.col("window.start").alias("window_start"), F.col("window.end").alias("window_end")
