"""Make the tables of results in ClickHouse: all rows as they came in TABLE__rows, and the view TABLE of one row a key.

Rows of one key are merged some time after they were written, so the view reads with FINAL, which merges what it reads.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from millrace import names
from millrace.errors import ConfigError
from millrace.kafka.columns import Column, Kind
from millrace.kafka.results import Result
from millrace.sinks.clickhouse.client import connect, errors, place

GENERATION, VERSION = "_generation", "_version"  # what orders the rows of a key: the generation first, then the rank
WINDOW = "window_start"
LOWEST = 1 << 63  # the smallest rank plus this is 0
NOTE = re.compile(r"\s*generations (\{.*\})$")  # at the end of the table's comment
KINDS = {
    Kind.TEXT: "String",
    Kind.INTEGER: "Int64",
    Kind.UNSIGNED: "UInt64",
    Kind.DOUBLE: "Float64",
    Kind.TIME: "DateTime64(6, 'UTC')",
    Kind.FLAG: "Bool",
}


def storage(result: Result) -> str:
    """Return the name of the table that is written."""
    return f"{names.identifier(result.name)}__rows"


def columns(result: Result) -> str:
    """Return the names of the columns, quoted, by commas."""
    return ", ".join(f"`{names.identifier(column.name)}`" for column in result.columns)


def create(url: str, result: Result) -> None:
    """Make what is missing of the table and the view of `result`; several processes may do so at once.

    A table that is there gets the columns that it lacks and that may be NULL. Raises ConfigError when it would lose or
    merge rows, with every difference, or when the user may not make something; Unavailable when the server is away.
    """
    client, table = connect(url), storage(result)
    with errors(url, f"table {table}"):
        there = _there(client, result)
        added = _additions(client, result) if table in there else []
        wrong = [*(_differences(client, result, there[table]) if table in there else ()), *_of_view(result, there)]
        if wrong:
            raise ConfigError(
                f"{place(url)}: rows would be lost or merged: {', '.join(wrong)}. Rename what is there "
                f"(RENAME TABLE {table} TO {table}_old), or drop it, and start again"
            )
        client.command(_table(result))
        for column in added:
            client.command(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column}")
        client.command(_view(result, replace=bool(added)))


def generations(url: str, result: Result, overwrite: datetime | None = None) -> Mapping[str, int]:
    """Return the generation of windows by the time (ISO 8601, UTC) from which on they have it; before all it is 0.

    With `overwrite`, those from that time on get a new one, the highest: a row of it replaces any of a lower one. They
    are noted in the comment of the table. Raises as `create` does.
    """
    client, table = connect(url), storage(result)
    with errors(url, f"table {table}"):
        comment = str(_there(client, result)[table]["comment"])
        found = NOTE.search(comment)
        known: dict[str, int] = json.loads(found[1]) if found else {}
        if overwrite and any(column.name == WINDOW for column in result.columns):
            start = overwrite.astimezone(UTC).isoformat(timespec="microseconds")
            earlier = {time: generation for time, generation in known.items() if time < start}
            known = earlier | {start: max(known.values(), default=0) + 1}
            note = f"{NOTE.sub('', comment)} generations {json.dumps(known)}".strip()
            client.command(f"ALTER TABLE {table} MODIFY COMMENT %(note)s", parameters={"note": note})
    return known


def _there(client: Client, result: Result) -> dict[str, dict[str, Any]]:
    asked = """SELECT name, engine, engine_full, sorting_key, as_select, comment FROM system.tables
        WHERE database = currentDatabase() AND name IN {names:Array(String)}"""
    found = client.query(asked, parameters={"names": [result.name, storage(result)]})
    return {row["name"]: row for row in found.named_results()}


def _table(result: Result) -> str:
    fields = ", ".join(map(_column, result.columns))
    version = f"`{GENERATION}` UInt32 DEFAULT 0, `{VERSION}` UInt128 MATERIALIZED {_version(result)}"
    return (
        f"CREATE TABLE IF NOT EXISTS {storage(result)} ({fields}, {version}) ENGINE = ReplacingMergeTree({VERSION}) "
        f"ORDER BY ({', '.join(f'`{name}`' for name in result.key)})"
    )


def _view(result: Result, *, replace: bool) -> str:
    head = "CREATE OR REPLACE VIEW" if replace else "CREATE VIEW IF NOT EXISTS"
    return f"{head} {result.name} AS SELECT {columns(result)} FROM {storage(result)} FINAL"  # noqa: S608


def _column(column: Column) -> str:
    return f"`{column.name}` {_kind(column)}"


def _kind(column: Column) -> str:
    if column.kind in (Kind.TEXTS, Kind.TAGS):
        raise ConfigError(f"column {column.name} is a list, which a table does not hold")
    kind = KINDS.get(column.kind, f"Decimal({column.size}, 10)")
    return f"Nullable({kind})" if column.null and not column.key else kind


def _version(result: Result) -> str:
    """Return the expression by which a row is newer than another of its key; among equals the last written stays."""
    generation = f"bitShiftLeft(toUInt128({GENERATION}), 72)"
    if result.rank is None:
        return generation
    [rank] = [column for column in result.columns if column.name == result.rank]
    number = f"toUnixTimestamp64Micro(`{rank.name}`)" if rank.kind is Kind.TIME else f"`{rank.name}`"
    above = f"toUInt128(toInt128({number}) + {LOWEST + 1})"  # 0 is for what is not known
    return f"{generation} + {f'ifNull({above}, 0)' if rank.null else above}"


def _differences(client: Client, result: Result, found: Mapping[str, Any]) -> Iterator[str]:
    table, engine = storage(result), str(found["engine"])
    arguments = re.search(r"MergeTree\(([^()]*)\)", str(found["engine_full"]))
    last = arguments[1].rpartition(",")[2].strip() if arguments else ""
    if not engine.endswith("ReplacingMergeTree") or last != VERSION:
        kind = f"{engine}({arguments[1] if arguments else ''})"
        yield f"{table} is a {kind}, not a ReplacingMergeTree({VERSION})"
    order = re.sub("[`()]", "", found["sorting_key"])
    if order != ", ".join(result.key):
        yield f"{table} is ordered by ({order}), not by ({', '.join(result.key)})"
    there = _columns(client, table)
    for column in result.columns:
        if (other := there.get(column.name)) and other != _kind(column):
            yield f"{table} has {column.name} as {other}, not {_kind(column)}"
    missing = [column.name for column in result.columns if column.name not in there and not column.null]
    for name in [*missing, *(each for each in (GENERATION, VERSION) if each not in there)]:
        yield f"{table} has no column {name}"


def _additions(client: Client, result: Result) -> list[str]:
    there = _columns(client, storage(result))
    return [_column(column) for column in result.columns if column.name not in there and column.null]


def _of_view(result: Result, there: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    found = there.get(result.name)
    if found and (found["engine"] != "View" or storage(result) not in found["as_select"]):
        yield f"{result.name} is a {found['engine']} of its own, not the view of {storage(result)}"


def _columns(client: Client, table: str) -> dict[str, str]:
    asked = "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {table:String}"
    return {row["name"]: row["type"] for row in client.query(asked, parameters={"table": table}).named_results()}
