"""Read the rows of results in ClickHouse, one a key; what people look at as pandas."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa

from millrace.errors import ConfigError
from millrace.kafka.results import Result
from millrace.sinks.clickhouse import client, tables

TABLES = "SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name"
NAMES = "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String}"
# As sinks/sql/windows.py says it: one of its source and length has begun at its end or later.
FULL = """SELECT * EXCEPT (told) FROM (
    SELECT *, window_end <= max(window_start) OVER (PARTITION BY source, window_end - window_start) AS told FROM {table}
) WHERE told"""


def rows(url: str, result: Result) -> Iterator[dict[str, Any]]:
    """Yield all rows of `result` as its columns; raises what `client.errors` does."""
    with client.errors(url, f"table {result.name}"):
        asked = f"SELECT {tables.columns(result)} FROM {result.name}"  # noqa: S608 - both are identifiers
        found = client.connect(url).query_arrow(asked, use_strings=True)
    for batch in found.to_batches():
        yield from batch.to_pylist()


def frame(url: str, table: str, limit: int | None = None, *, full: bool = False) -> pd.DataFrame:
    """Return a table or view, newest windows first where it has some, with `full` only those that fill no more.

    Times come as UTC timestamps, whole numbers as Int64. Raises ConfigError when the table is not there, or has no
    windows of a source, and what `client.errors` does.
    """
    with client.errors(url, f"table {table}"):
        server = client.connect(url)
        known = [name for (name,) in server.query(TABLES).result_rows]
        if table not in known:
            raise ConfigError(f"clickhouse has no table {table!r} (it has {', '.join(known) or 'none'}): run a job")
        names = {name for (name,) in server.query(NAMES, parameters={"table": table}).result_rows}
        if full and not {"source", "window_start", "window_end"} <= names:
            raise ConfigError(f"{table} has no windows of a source")
        asked = FULL.format(table=table) if full else f"SELECT * FROM {table}"  # noqa: S608 - an identifier
        newest = " ORDER BY window_start DESC" if "window_start" in names else ""
        most = "" if limit is None else f" LIMIT {int(limit)}"
        found = server.query_arrow(asked + newest + most, use_strings=True)
    shown: pd.DataFrame = found.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return shown
