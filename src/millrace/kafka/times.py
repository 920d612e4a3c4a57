"""Timestamps of Kafka records, whatever they say: `datetime` ends with the year 9999, a record's 64 bits do not.

Kafka says -1 where a record has no time. A producer that counts in microseconds writes the year 58,000.
"""

from datetime import UTC, datetime, timedelta

import numpy as np

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
END = 253_402_300_800_000  # the year 10000: analyses count records from 1970 up to it
AHEAD = timedelta(minutes=6)  # of the future, for clocks differ; nobody believes more


def iso(milliseconds: int) -> str:
    """Return a timestamp as ISO 8601 UTC to the millisecond; years beyond 9999 have a plus, as Java writes them."""
    text = str(np.datetime64(milliseconds, "ms"))
    year, _, rest = text.removeprefix("-").partition("-")
    sign = "-" if text.startswith("-") else "+" if len(year) > 4 else ""
    return f"{sign}{year:0>4}-{rest}Z"


def milliseconds(text: str) -> int:
    """Return the timestamp of a text that `iso` or Spark wrote; raises ValueError for what is none."""
    return int(np.datetime64(text.removesuffix("Z"), "ms").astype(np.int64))


def moment(milliseconds: int) -> datetime | None:
    """Return a timestamp as a time, None where it lies outside the years that `datetime` knows."""
    try:
        return EPOCH + milliseconds * MILLISECOND
    except OverflowError:
        return None


def counted(milliseconds: int) -> datetime | None:
    """Return a timestamp as a time, None if analyses take the record for a bad one: no window lacks it."""
    return moment(milliseconds) if 0 <= milliseconds < END else None
