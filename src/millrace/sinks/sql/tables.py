"""Define the tables that sinks fill and people read, from `results`, alike in SQLite, MySQL, MariaDB, PostgreSQL."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Index,
    MetaData,
    String,
    Table,
    func,
    insert,
    inspect,
    select,
)
from sqlalchemy.types import TypeEngine

from millrace import names
from millrace.errors import ConfigError, Unavailable
from millrace.kafka import columns
from millrace.kafka.columns import Kind
from millrace.kafka.results import RESULTS, Result
from millrace.sinks.sql import database, filling, fit
from millrace.sinks.sql.columns import Money, Time, Unsigned, key_text, long_text
from millrace.sinks.sql.statements import dialect_name
from millrace.sinks.sql.views import VIEWS, create_view

LOCK = 5_417_233  # any fixed number: the advisory lock under which tables are created
PATIENCE = 60  # seconds that MySQL waits for it
AGES = ("window_start", "observed_at")  # the first of these that a table has gets an index
metadata = MetaData()


def define(result: Result, where: MetaData) -> Table:
    """Define the table of `result`, in which by column `order` an older row never overwrites a newer one."""
    table = _table(result.name, where, *map(_column, result.columns), order=result.order)
    if age := next((name for name in AGES if name in table.c), None):
        Index(f"{result.name}_{age}", table.c[age])
    return table


def stored(result: Result) -> Table:
    """Return the table of `result`."""
    known = metadata.tables.get(result.name)
    return define(result, MetaData()) if known is None else known


def _table(name: str, where: MetaData, *columns: Column[Any], order: str | None = None) -> Table:
    info = {"order": order} if order else {}
    identifiers = [names.identifier(text) for text in (name, *(column.name for column in columns))]
    return Table(
        identifiers[0],
        where,
        *columns,
        info=info,
        sqlite_with_rowid=False,  # the key is the table: half the size and one look-up
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )


def _column(column: columns.Column) -> Column[Any]:
    kind = _kind(column)
    if column.key:
        return Column(column.name, kind, primary_key=True, autoincrement=False)
    return Column(column.name, kind, nullable=column.null)


def _kind(column: columns.Column) -> TypeEngine[Any]:
    if column.kind not in KINDS:
        raise ConfigError(f"column {column.name} is a list, which a SQL table does not hold")
    return KINDS[column.kind](column)


def _text(column: columns.Column) -> TypeEngine[str]:
    if not column.size:
        return long_text()
    return key_text(column.size) if column.exact else String(column.size)


KINDS: dict[Kind, Callable[[columns.Column], TypeEngine[Any]]] = {
    Kind.TEXT: _text,
    Kind.INTEGER: lambda column: BigInteger(),
    Kind.UNSIGNED: lambda column: Unsigned(),
    Kind.DOUBLE: lambda column: Double(),
    Kind.DECIMAL: lambda column: Money(column.size, 10),
    Kind.TIME: lambda column: Time(),
    Kind.FLAG: lambda column: Boolean(),
}
for each in RESULTS:
    if each.table:
        define(each, metadata)

hashtag_counts = metadata.tables["hashtag_counts"]
language_counts = metadata.tables["language_counts"]
author_counts = metadata.tables["author_counts"]
post_counts = metadata.tables["post_counts"]
engagement_windows = metadata.tables["engagement_windows"]
dashboard_windows = metadata.tables["dashboard_windows"]
post_engagement = metadata.tables["post_engagement"]
candles = metadata.tables["candles"]
gaps = metadata.tables["gaps"]
candle_windows = _table(  # the candle that each window shows: its own or, between two candles, the one before
    "candle_windows",
    metadata,
    Column("symbol", key_text(names.SYMBOL_LENGTH), primary_key=True, autoincrement=False),
    Column("resolution", key_text(8), primary_key=True, autoincrement=False),
    Column("window_start", Time(), primary_key=True, autoincrement=False),
    Column("window_end", Time(), nullable=False),
    Column("since", Time(), nullable=False),  # the start of that candle
    Column("complete", Boolean, nullable=False),  # of a window without trades: no gap touches it
    order="since",  # so that it is right in whatever order candles come
)
Index("candle_windows_window_start", candle_windows.c.window_start)
candles.info["windows"] = candle_windows
symbols = _table(
    "symbols",
    metadata,
    Column("symbol", key_text(names.SYMBOL_LENGTH), primary_key=True, autoincrement=False),
    Column("topic", key_text(names.SYMBOL_LENGTH), nullable=False, unique=True),
    Column("view_name", key_text(63), nullable=False, unique=True),
)
progress = _table(  # windows that end at the watermark or before are final
    "progress",
    metadata,
    Column("job", key_text(64), primary_key=True, autoincrement=False),
    Column("checkpoint", key_text(255), primary_key=True, autoincrement=False, server_default=""),
    Column("watermark", Time()),
    Column("batch", BigInteger, nullable=False),
    Column("updated_at", Time(), nullable=False),
    order="updated_at",
)


VERSION = 1  # of the tables and views; a test says when it is to be raised
versions = _table(  # which were made here; the highest counts
    "millrace_schema", metadata, Column("version", BigInteger, primary_key=True, autoincrement=False)
)


def create(url: str, *others: Table) -> None:
    """Make what is missing of the tables (`others`, too), indexes and views; several processes may do so at once.

    Tables that are there get the columns that they lack and that may be NULL. Views are replaced where the store is of
    an earlier version. What is right already takes no other right than to read. Raises Unavailable when the server does
    not answer, ConfigError when the user may not make something, or when tables are there that would lose or merge
    rows: with every difference, and what mends it.
    """
    engine = database.connect(url)
    try:
        with database.errors(engine.url), engine.begin() as connection:
            wait_for_others(connection)
            wanted = dict.fromkeys((*metadata.sorted_tables, *others))
            there = set(inspect(connection).get_table_names()) - _outgrown(connection)
            old = [table for table in wanted if table.name in there]
            added = fit.require(connection, old, database.place(engine.url))
            with database.errors(engine.url, "; ".join([*added, ""])):
                for statement in added:
                    connection.exec_driver_sql(statement)
            if progress.name in _outgrown(connection):
                with database.errors(engine.url, "table progress, to renew which takes the right DROP on it, in "):
                    progress.drop(connection)
            for table in wanted:
                if table not in old:
                    table.create(connection)
                for index in table.indexes if table in old else ():  # a creator that died midway may have left none
                    index.create(connection, checkfirst=True)
            if candle_windows not in old and candles in old:
                filling.note_all(connection, candles)
            _replace_views(connection)
    finally:
        engine.dispose()


def _outgrown(connection: Connection) -> set[str]:
    """Return `progress` where it has one row a job, as in an earlier version: its rows come again with each batch."""
    seen = inspect(connection)
    if not seen.has_table(progress.name):
        return set()
    return set() if "checkpoint" in {each["name"] for each in seen.get_columns(progress.name)} else {progress.name}


def _replace_views(connection: Connection) -> None:
    """Make the views that are missing, and replace all of an earlier version; those of a later one stay."""
    there = set(inspect(connection).get_view_names())
    version = connection.scalars(select(func.max(versions.c.version))).one() or 0
    for name, query in VIEWS.items():
        if version < VERSION or name not in there:
            create_view(connection, name, query(metadata.tables))
    if version < VERSION:
        connection.execute(insert(versions), {"version": VERSION})


def wait_for_others(connection: Connection) -> None:
    """Wait until nobody else makes tables and views, and keep all others waiting until this transaction is committed.

    It must be the first that is asked of `connection`. Raises Unavailable when others take longer than a minute.
    """
    match dialect_name(connection.dialect.name):
        case "sqlite":  # its transaction is the lock; its PRAGMAs do not notice tables made meanwhile, a query does
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
        case "postgresql":  # what others committed while we waited is seen, whatever the server's default
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        case "mysql":
            connection.detach()  # the lock is the session's, which ends after the commit: before it others see no rows
            held = connection.exec_driver_sql(f"SELECT GET_LOCK('millrace_{LOCK}', {PATIENCE})").scalar()
            if held != 1:
                raise Unavailable(f"{database.place(connection.engine.url)}: others have made tables for {PATIENCE} s")
