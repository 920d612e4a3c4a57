"""Read a result's documents for people who look: at a page, a terminal, a notebook, a prompt of SQL. Writes nothing."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from millrace.kafka.results import Result
from millrace.sinks.mongodb import cluster
from millrace.sinks.mongodb.bson_rows import WINDOW, values

PATIENCE = 2_000  # milliseconds to find a server: somebody waits


def rows(url: str, result: Result) -> Iterator[dict[str, Any]]:
    """Yield all documents of `result` as its columns; raises what `cluster.errors` does."""
    with cluster.errors(url, f"collection {result.documents}"):
        for found in cluster.collection(url, result.documents, PATIENCE).find():
            yield values(found)


def newest(
    url: str, result: Result, count: int, since: datetime | None = None, without: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """Return the `count` newest windows that start at `since` or later, newest first, by the index of windows.

    A `count` of 0 is all of them; columns `without` are left out. Raises what `cluster.errors` does.
    """
    later = {} if since is None else {WINDOW: {"$gte": since}}
    with cluster.errors(url, f"collection {result.documents}"):
        found = (
            cluster.collection(url, result.documents, PATIENCE)
            .find(later, dict.fromkeys(without, False))
            .sort(WINDOW, -1)
            .limit(count)
        )
        return [values(each) for each in found]
