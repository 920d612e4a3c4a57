"""Times as text in UTC, by Spark's own expressions."""

from pyspark.sql import Column
from pyspark.sql import functions as F


def utc(time: Column | str, form: str) -> Column:
    """Return a time as text in UTC; `form` is a pattern of Spark.

    Nothing is shifted: a shifted time may fall where the session's time zone has none, in the hour when summer begins.
    """
    return F.to_csv(F.struct(time), {"timestampFormat": form, "timeZone": "UTC"})
