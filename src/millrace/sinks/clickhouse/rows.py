"""Fit Arrow rows to a table of ClickHouse: what it would store as something else is told apart."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from millrace.kafka.columns import Column, Kind
from millrace.kafka.results import Result
from millrace.sinks import text
from millrace.sinks.clickhouse.tables import GENERATION, WINDOW

Check = Callable[[pa.ChunkedArray], pa.ChunkedArray]  # values -> true where they cannot be stored
Refused = tuple[str, pa.Table]  # what is wrong, and the rows
MICROSECONDS = pa.timestamp("us", "UTC")
YEARS = datetime(1900, 1, 1, tzinfo=UTC), datetime(2299, 12, 31, tzinfo=UTC)  # of DateTime64


def fit(rows: pa.Table, result: Result, generations: Mapping[str, int]) -> tuple[pa.Table, list[Refused]]:
    """Return the rows that the table can hold, each with its generation, and the others."""
    rows, refused = _known(text.valid(rows), result), []
    for column in result.columns:
        for reason, check in _checks(column, rows.schema.field(column.name).type):
            fails = pc.fill_null(check(rows[column.name]), False)
            if pc.any(fails).as_py():
                refused.append((f"{column.name} {reason}", rows.filter(fails)))
                rows = rows.filter(pc.invert(fails))
    return rows.append_column(GENERATION, _generations(rows, generations)), refused


def values(row: Mapping[str, Any]) -> bytes:
    """Return a row as JSON."""
    told = {name: value for name, value in row.items() if name != GENERATION}
    return json.dumps(told, default=str, ensure_ascii=False).encode(errors="replace")


def _known(rows: pa.Table, result: Result) -> pa.Table:
    """Give times their zone and large numbers their type, and make null of what is no number where that may be."""
    for column in result.columns:
        kind, index = rows.schema.field(column.name).type, rows.column_names.index(column.name)
        if pa.types.is_timestamp(kind):
            rows = rows.set_column(index, column.name, rows[column.name].cast(MICROSECONDS))
        elif column.kind is Kind.UNSIGNED:
            rows = rows.set_column(index, column.name, rows[column.name].cast(pa.uint64()))
        elif pa.types.is_floating(kind) and column.null:
            known = pc.if_else(pc.is_nan(rows[column.name]), pa.scalar(None, kind), rows[column.name])
            rows = rows.set_column(index, column.name, known)
    return rows


def _checks(column: Column, kind: pa.DataType) -> Iterator[tuple[str, Check]]:
    if not column.null:
        yield "is null", pc.is_null
    if pa.types.is_floating(kind):
        yield "is no number", pc.is_nan
    if column.kind is Kind.DECIMAL:
        limit = float(10 ** (column.size - 10))
        yield "is out of range", lambda numbers: pc.greater_equal(pc.abs(numbers.cast(pa.float64())), limit)
    if pa.types.is_timestamp(kind):
        first, last = (pa.scalar(year, MICROSECONDS) for year in YEARS)
        yield "is outside the years 1900 to 2299", lambda times: pc.or_(pc.less(times, first), pc.greater(times, last))


def _generations(rows: pa.Table, generations: Mapping[str, int]) -> pa.Array | pa.ChunkedArray:
    found = pa.repeat(pa.scalar(0, pa.uint32()), rows.num_rows)
    for start, generation in sorted(generations.items()):  # the later it starts, the higher it is
        begins = pa.scalar(datetime.fromisoformat(start), MICROSECONDS)
        found = pc.if_else(pc.greater_equal(rows[WINDOW], begins), pa.scalar(generation, pa.uint32()), found)
    return found
