"""Upsert micro-batches into SQLite, MySQL and PostgreSQL: one transaction per batch, all rows or none."""

import logging
import weakref
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from sqlalchemy import Connection, Engine, Table

from millrace.errors import BadRecord, ConfigError
from millrace.sinks.retry import Patience
from millrace.sinks.sql import database, filling, staging
from millrace.sinks.sql.rows import collect, newest, represent, settle_times, sift
from millrace.sinks.sql.statements import dialect_name, upsert_sql
from millrace.sinks.together import Writer

log = logging.getLogger(__name__)

STAGED_FROM = 20_000  # rows from which a bulk load beats plain inserts in spite of its temporary table
CHUNK = 5_000  # rows per statement: well under MySQL's max_allowed_packet

OnBad = Callable[[BadRecord, pa.Table], None]


def log_bad(fault: BadRecord, rows: pa.Table) -> None:
    """Log what is wrong and how many rows it touches, but not their contents."""
    log.error("not written, %d rows put aside: %s", rows.num_rows, fault)


def upsert(
    url: str,
    table: Table,
    *,
    on_bad: OnBad = log_bad,
    patience: Patience | None = None,
    overwrite: datetime | None = None,
) -> Writer:
    """Upsert each micro-batch, whose columns are those of `table`, by its primary key.

    Of rows with one key, the newest by the column that `table.info["order"]` names is kept, without such a column the
    last; a stored row is never overwritten by an older one, unless its window starts at `overwrite` or later: there the
    stored one may be wrong. Rows that some store cannot hold (NULL in a key, NUL
    characters, text too long, numbers or years out of range) go to `on_bad(what is wrong, rows)`, the others are
    written. Raises Unavailable when the server stays away longer than `patience` (2 minutes), ConfigError when a retry
    cannot help (access denied, no such table, SQLite with a Spark master that is not local).

    Delivery: at-least-once, effectively once by primary key; one transaction per batch.
    """
    engine = database.connect(url)

    def write(batch: DataFrame, batch_id: int) -> None:
        _require_local(engine, batch)
        store(engine, table, collect(batch, table), on_bad=on_bad, patience=patience, overwrite=overwrite)

    weakref.finalize(write, engine.dispose)  # a writer is a function: nobody closes it
    return write


def store(
    engine: Engine,
    table: Table,
    rows: pa.Table,
    *,
    on_bad: OnBad = log_bad,
    patience: Patience | None = None,
    overwrite: datetime | None = None,
) -> None:
    """Upsert Arrow `rows` in one transaction, retrying while the server is unavailable; see `upsert`."""
    dialect = dialect_name(engine.dialect.name)
    good, bad = sift(settle_times(rows, dialect), table)
    for fault, lot in bad:
        on_bad(fault, lot)
    if dialect != "sqlite" or overwrite:  # its one writer upserts row by row: no deadlocks, and the newest wins anyway
        good = newest(good, [column.name for column in table.primary_key], table.info.get("order"))
    ready = represent(good, table.columns.keys(), dialect)
    if ready.num_rows:
        keys = _keys(good, table) if "windows" in table.info else []
        (patience or Patience()).attempt(lambda: _merge(engine, table, ready, keys, overwrite))


def _merge(
    engine: Engine, table: Table, rows: pa.Table, keys: list[tuple[Any, ...]], overwrite: datetime | None
) -> None:
    dialect = dialect_name(engine.dialect.name)
    with database.errors(engine.url, f"table {table.name} in "), engine.begin() as connection:
        if rows.num_rows >= STAGED_FROM and staging.possible(connection, dialect):
            staging.merge(connection, table, rows, dialect, overwrite)
        else:
            _insert(connection, upsert_sql(table, dialect, overwrite=overwrite), rows)
        if keys:
            filling.note(connection, table, keys)


def _keys(rows: pa.Table, table: Table) -> list[tuple[Any, ...]]:
    return list(zip(*(rows[column.name].to_pylist() for column in table.primary_key), strict=True))


def _insert(connection: Connection, sql: str, rows: pa.Table) -> None:
    for chunk in rows.to_batches(max_chunksize=CHUNK):
        connection.exec_driver_sql(sql, _tuples(chunk))


def _tuples(chunk: pa.RecordBatch) -> list[tuple[object, ...]]:
    columns: Iterable[list[object]] = (column.to_pylist() for column in chunk.columns)
    return list(zip(*columns, strict=True))


def _require_local(engine: Engine, batch: DataFrame) -> None:
    master = batch.sparkSession.conf.get("spark.master") or ""
    if engine.dialect.name == "sqlite" and master != "local" and not master.startswith("local["):
        raise ConfigError(f"SQLite is a file of one machine, Spark's master is {master}: use postgres or mysql")
