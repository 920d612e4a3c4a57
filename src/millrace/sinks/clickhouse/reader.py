"""Read the rows of results in ClickHouse, one a key."""

from collections.abc import Iterator
from typing import Any

from millrace.kafka.results import Result
from millrace.sinks.clickhouse import client, tables


def rows(url: str, result: Result) -> Iterator[dict[str, Any]]:
    """Yield all rows of `result` as its columns; raises what `client.errors` does."""
    with client.errors(url, f"table {result.name}"):
        asked = f"SELECT {tables.columns(result)} FROM {result.name}"  # noqa: S608 - both are identifiers
        found = client.connect(url).query_arrow(asked, use_strings=True)
    for batch in found.to_batches():
        yield from batch.to_pylist()
