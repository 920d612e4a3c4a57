"""Upsert large batches: bulk-load them into a temporary table and merge that in the same transaction."""

import tempfile
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import BigInteger, Column, Connection, MetaData, Table
from sqlalchemy.schema import CreateTable

from millrace.sinks.sql.statements import DIALECTS, upsert_sql

NUMBER = "staged_row"  # the column that numbers the rows of a temporary table in MySQL
LINES = 8192  # rows that are converted to text at a time
ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def possible(connection: Connection, dialect: str) -> bool:
    """Return whether the server takes a bulk load: PostgreSQL does, MySQL if `local_infile` is on, SQLite not."""
    if dialect == "mysql":
        return bool(connection.exec_driver_sql("SELECT @@local_infile").scalar())
    return dialect == "postgresql"


def merge(
    connection: Connection, table: Table, rows: pa.Table, dialect: str, overwrite: datetime | None = None
) -> None:
    """Upsert `rows`, which hold values of `dialect`, by a temporary table in the caller's transaction.

    Where that fails, the connection is taken out of the pool: MySQL keeps a temporary table in spite of a rollback, and
    the next try would find it.
    """
    stage = _stage(table, dialect)
    try:
        connection.execute(CreateTable(stage))
        load = _copy if dialect == "postgresql" else _load_data
        load(connection, stage, rows)
        connection.exec_driver_sql(upsert_sql(table, dialect, stage, overwrite))
        if dialect == "mysql":  # PostgreSQL drops it on commit
            connection.exec_driver_sql(f"DROP TEMPORARY TABLE {_name(stage, dialect)}")
    except BaseException:
        connection.invalidate()
        raise


def _stage(table: Table, dialect: str) -> Table:
    columns = [Column(c.name, c.type) for c in table.columns]
    options: dict[str, Any] = {"postgresql_on_commit": "DROP"} if dialect == "postgresql" else {}
    if dialect == "mysql":  # some servers take no table without a primary key
        columns.append(Column(NUMBER, BigInteger, primary_key=True, autoincrement=True))
    return Table(f"{table.name}_stage", MetaData(), *columns, prefixes=["TEMPORARY"], **options)


def _copy(connection: Connection, stage: Table, rows: pa.Table) -> None:
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY {_name(stage, 'postgresql')} FROM STDIN") as copy:
        for text in as_text(rows):
            copy.write(text)


def _load_data(connection: Connection, stage: Table, rows: pa.Table) -> None:
    with tempfile.NamedTemporaryFile(prefix="millrace-", suffix=".tsv") as file:  # readable by its owner alone
        for text in as_text(rows):
            file.write(text)
        file.flush()
        preparer = DIALECTS["mysql"].identifier_preparer
        columns = ", ".join(preparer.quote(name) for name in rows.column_names)
        connection.exec_driver_sql(
            f"LOAD DATA LOCAL INFILE '{file.name}' INTO TABLE {_name(stage, 'mysql')} CHARACTER SET utf8mb4 ({columns})"
        )
    _refuse_warnings(connection)


def _refuse_warnings(connection: Connection) -> None:
    """Raise warnings as errors: LOCAL turns errors into warnings and stores something else."""
    warnings = connection.exec_driver_sql("SHOW WARNINGS").all()
    if warnings:
        from mysql.connector import DataError  # noqa: PLC0415 - most jobs write elsewhere

        raise DataError(f"{warnings[0][2]} (first of {len(warnings)} warnings)")


def _name(table: Table, dialect: str) -> str:
    return DIALECTS[dialect].identifier_preparer.format_table(table)


def as_text(rows: pa.Table) -> Iterator[bytes]:
    r"""Yield `rows` as the text that COPY and LOAD DATA read by default: tabs, \N for NULL, \ escapes."""
    for batch in rows.to_batches(max_chunksize=LINES):
        lines = pc.binary_join_element_wise(*(_cell(column) for column in batch.columns), "\t")
        yield ("\n".join(lines.to_pylist()) + "\n").encode()


def _cell(values: pa.Array) -> pa.Array:
    texts = values.cast(pa.string())
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        for plain, escaped in ESCAPES.items():
            texts = pc.replace_substring(texts, plain, escaped)
    return texts.fill_null("\\N")
