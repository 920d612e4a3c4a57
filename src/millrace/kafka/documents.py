"""Convert rows to JSON documents with a text key, and back: the same key and JSON in Kafka and in Elasticsearch."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from millrace.errors import ConfigError
from millrace.kafka.columns import Kind
from millrace.kafka.results import Result

JSON = {  # times are ISO 8601 UTC with microseconds, whatever the session's time zone
    "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "timeZone": "UTC",
    "ignoreNullFields": "false",
}


def document() -> Column:
    """Return a whole row as one JSON object."""
    return F.to_json(F.struct("*"), JSON)


def key(columns: Sequence[str]) -> Column:
    """Return the text of one key column, or a JSON object of several, which no other key equals."""
    return F.col(columns[0]).cast("string") if len(columns) == 1 else F.to_json(F.struct(*columns), JSON)


def require_key(columns: Sequence[str], found: Collection[str], place: str) -> None:
    """Raise ConfigError that names the key columns which rows for `place` lack."""
    if missing := sorted(set(columns) - set(found)):
        raise ConfigError(f"{place} is keyed by {missing}, which the rows lack")


def values(result: Result, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a decoded document of `result` as Python values: times as datetime in UTC, exact numbers as Decimal."""
    meant: dict[Kind | None, Callable[[Any], Any]] = {
        Kind.TIME: datetime.fromisoformat,
        Kind.DECIMAL: lambda number: Decimal(str(number)),
    }
    kinds = {column.name: column.kind for column in result.columns}
    return {
        name: meant[kind](value) if value is not None and (kind := kinds.get(name)) in meant else value
        for name, value in document.items()
    }
