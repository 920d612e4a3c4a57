"""The tables that sinks fill and people read, one definition for SQLite, MySQL, MariaDB and PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Index, MetaData, Table
from sqlalchemy.types import TypeEngine

from millrace import names
from millrace.sinks import database
from millrace.sinks.columns import Time, key_text
from millrace.sinks.merge import dialect_name
from millrace.sinks.views import VIEWS, create_view

LOCK = 5_417_233  # any fixed number: the advisory lock under which tables are created
metadata = MetaData()


def _table(name: str, *columns: Column[Any], order: str | None = None) -> Table:
    """Define a table; `order` names the column by which an older row never overwrites a newer one."""
    info = {"order": order} if order else {}
    identifiers = [names.identifier(text) for text in (name, *(column.name for column in columns))]
    return Table(
        identifiers[0],
        metadata,
        *columns,
        info=info,
        sqlite_with_rowid=False,  # the key is the table: half the size and one look-up
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )


def _key(name: str, kind: TypeEngine[Any]) -> Column[Any]:
    return Column(name, kind, primary_key=True, autoincrement=False)


hashtag_counts = _table(
    "hashtag_counts",
    _key("source", key_text(16)),
    _key("window_start", Time()),
    _key("window_end", Time()),
    _key("hashtag", key_text(names.HASHTAG_LENGTH)),
    Column("posts", BigInteger, nullable=False),
)
Index("hashtag_counts_window_start", hashtag_counts.c.window_start)


def create(url: str) -> None:
    """Create all tables, indexes and views that do not exist yet; safe when several processes do it at once.

    Raises Unavailable when the server does not answer, ConfigError when the user may not create tables.
    """
    engine = database.connect(url)
    try:
        with database.errors(engine.url), engine.begin() as connection, _one_at_a_time(connection):
            for table in metadata.sorted_tables:
                table.create(connection, checkfirst=True)
                for index in table.indexes:  # a creator that died midway may have left none
                    index.create(connection, checkfirst=True)
            for name, query in VIEWS.items():
                create_view(connection, name, query(metadata.tables))
    finally:
        engine.dispose()


@contextmanager
def _one_at_a_time(connection: Connection) -> Iterator[None]:
    """Hold a lock that other creators wait for; SQLite's transaction is one already."""
    dialect = dialect_name(connection.dialect.name)
    if dialect == "sqlite":  # its PRAGMAs do not notice tables made while we waited, a query does
        connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
    if dialect == "postgresql":  # let go on commit
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
    if dialect == "mysql":
        connection.exec_driver_sql(f"SELECT GET_LOCK('millrace_{LOCK}', 60)")
    try:
        yield
    finally:
        if dialect == "mysql":
            connection.exec_driver_sql(f"SELECT RELEASE_LOCK('millrace_{LOCK}')")
