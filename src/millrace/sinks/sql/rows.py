"""Turn a micro-batch into an Arrow table that fits a SQL table: sifted, one row per key, in the store's own values."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from sqlalchemy import Column, Numeric, String, Table, TypeDecorator
from sqlalchemy.types import TypeEngine

from millrace.errors import BadRecord, ConfigError
from millrace.sinks import text

Check = Callable[[pa.ChunkedArray], pa.ChunkedArray]  # values -> true where they cannot be stored
YEARS = (datetime(1000, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))  # what every dialect can hold
KNOWN = "order is known"  # no column of ours has a space in its name
MICROSECONDS = pa.timestamp("us", "UTC")
MILLISECONDS = pa.timestamp("ms", "UTC")


def collect(batch: DataFrame, table: Table) -> pa.Table:
    """Collect the batch to the driver with the columns of `table`; raises ConfigError if its columns are others."""
    rows = batch.toArrow()
    wanted, found = table.columns.keys(), rows.column_names
    if set(wanted) != set(found):
        missing, unknown = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
        raise ConfigError(f"the rows do not fit table {table.name}: missing {missing}, unknown {unknown}")
    return text.valid(rows.select(wanted))


def settle_times(rows: pa.Table, dialect: str) -> pa.Table:
    """Convert times to UTC at the precision of the store: PostgreSQL microseconds, others milliseconds."""
    for index, field in enumerate(rows.schema):
        if pa.types.is_timestamp(field.type):
            times = rows.column(index).cast(MICROSECONDS)
            rows = rows.set_column(index, field.name, times if dialect == "postgresql" else _whole(times))
    return rows


def _whole(times: pa.ChunkedArray) -> pa.ChunkedArray:
    try:
        times.cast(MILLISECONDS)  # ten times faster than the floor, which windows do not need
        return times
    except pa.ArrowInvalid:
        return pc.floor_temporal(times, unit="millisecond")


def sift(rows: pa.Table, table: Table) -> tuple[pa.Table, list[tuple[BadRecord, pa.Table]]]:
    """Separate the rows that every store can hold from the others: (good rows, [(what is wrong, bad rows)])."""
    bad = []
    for column in table.columns:
        for reason, check in _checks(column, rows.schema.field(column.name).type):
            fails = check(rows[column.name])
            if pc.any(fails).as_py():
                fails = pc.fill_null(fails, False)
                lot = rows.filter(fails)
                rows = rows.filter(pc.invert(fails))
                bad.append((BadRecord(f"{lot.num_rows} rows for table {table.name}: {column.name} {reason}"), lot))
    return rows, bad


def _checks(column: Column[object], kind: pa.DataType) -> Iterator[tuple[str, Check]]:
    if not column.nullable:
        yield "is NULL", pc.is_null
    if isinstance(column.type, String):
        yield "holds a NUL character", lambda values: pc.match_substring(values, "\0")
        if length := column.type.length:
            yield (
                f"is longer than {length} characters",
                lambda values: pc.greater(pc.utf8_length(values), length),
            )
    if limit := _limit(column.type):
        yield "is out of range", lambda values: pc.greater_equal(pc.abs(values.cast(pa.float64())), limit)
    if pa.types.is_floating(kind):
        yield "is no finite number", lambda values: pc.invert(pc.is_finite(values))
    if pa.types.is_timestamp(kind):
        yield "is outside the years 1000 to 9999", _outside_years


def _limit(kind: TypeEngine[Any]) -> float | None:
    plain = kind.impl_instance if isinstance(kind, TypeDecorator) else kind
    if not isinstance(plain, Numeric) or plain.precision is None:
        return None
    return float(10 ** (plain.precision - (plain.scale or 0)))


def _outside_years(times: pa.ChunkedArray) -> pa.ChunkedArray:
    first, last = (pa.scalar(year, MICROSECONDS) for year in YEARS)
    return pc.or_(pc.less(times, first), pc.greater(times, last))


def newest(rows: pa.Table, keys: list[str], order: str | None) -> pa.Table:
    """Sort by `keys` and keep one row per key: the highest in `order` (NULL is lowest), among equals the last."""
    names = list(keys)
    if order:
        rows = rows.append_column(KNOWN, pc.is_valid(rows[order]))
        names += [KNOWN, order]
    placed = rows.take(pc.sort_indices(rows, sort_keys=[(name, "ascending") for name in names]))  # stable
    if placed.num_rows < 2:
        return placed
    changes = pa.chunked_array([pa.repeat(pa.scalar(False), placed.num_rows - 1)])
    for name in keys:
        values = placed[name]
        changes = pc.or_(changes, pc.not_equal(values.slice(1), values.slice(0, len(values) - 1)))
    return placed.filter(pa.chunked_array([*changes.chunks, pa.array([True])]))


def represent(rows: pa.Table, names: list[str], dialect: str) -> pa.Table:
    """Convert columns `names` to values that the driver binds: SQLite has no times, dates or decimals."""
    columns = [_represent(rows[name], dialect) for name in names]
    return pa.table(columns, names=names)


def _represent(values: pa.ChunkedArray, dialect: str) -> pa.ChunkedArray:
    if dialect == "postgresql":
        return values
    if pa.types.is_boolean(values.type):
        return values.cast(pa.int8())
    if pa.types.is_timestamp(values.type):
        plain = values.cast(pa.timestamp("ms"))
        return _iso_text(plain) if dialect == "sqlite" else plain
    if dialect == "sqlite" and (pa.types.is_decimal(values.type) or pa.types.is_date(values.type)):
        return values.cast(pa.string())
    return values


def _iso_text(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return milliseconds as `2026-11-22T12:00:00.000Z`: ten times faster than `strftime`."""
    return pc.binary_join_element_wise(pc.replace_substring(times.cast(pa.string()), " ", "T"), "Z", "")
