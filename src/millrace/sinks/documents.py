"""Rows as JSON documents with a key of text: the same key and the same JSON in Kafka and in Elasticsearch."""

from collections.abc import Collection, Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from millrace.errors import ConfigError

JSON = {  # times are ISO 8601 UTC with microseconds, whatever the session's time zone
    "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "timeZone": "UTC",
    "ignoreNullFields": "false",
}


def document() -> Column:
    """Return a whole row as one JSON object."""
    return F.to_json(F.struct("*"), JSON)


def key(columns: Sequence[str]) -> Column:
    """Return the text of one key column, or of several a JSON object of them, which no other key equals."""
    return F.col(columns[0]).cast("string") if len(columns) == 1 else F.to_json(F.struct(*columns), JSON)


def require_key(columns: Sequence[str], found: Collection[str], place: str) -> None:
    """Raise ConfigError that names the key columns which rows for `place` lack."""
    if missing := sorted(set(columns) - set(found)):
        raise ConfigError(f"{place} is keyed by {missing}, which the rows lack")
