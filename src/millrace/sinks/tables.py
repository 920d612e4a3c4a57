"""The tables that sinks fill and people read, one definition for SQLite, MySQL, MariaDB and PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Connection, Double, Index, MetaData, String, Table
from sqlalchemy.types import TypeEngine

from millrace import names
from millrace.sinks import database
from millrace.sinks.columns import Money, Time, key_text
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


def _windows(name: str, *columns: Column[Any]) -> Table:
    """Define a table of one row per source, window and the key columns among `columns`."""
    table = _table(
        name, _key("source", key_text(16)), _key("window_start", Time()), _key("window_end", Time()), *columns
    )
    Index(f"{name}_window_start", table.c.window_start)
    return table


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


hashtag_counts = _windows("hashtag_counts", _key("hashtag", key_text(names.HASHTAG_LENGTH)), _count("posts"))
language_counts = _windows("language_counts", _key("language", key_text(64)), _count("posts"))
author_counts = _windows("author_counts", _key("author", key_text(300)), _count("posts"))
post_counts = _windows("post_counts", _count("posts"))
engagement_windows = _windows(
    "engagement_windows",
    _count("readings"),
    Column("average_score", Double, nullable=False),
    Column("max_score", Double, nullable=False),
)
dashboard_windows = _windows(  # the view minute_dashboard adds the top hashtag
    "dashboard_windows",
    _count("posts"),
    _count("authors"),
    _count("bots"),
    Column("average_score", Double, nullable=False),
    Column("top_language", key_text(64)),
)
post_engagement = _table(
    "post_engagement",
    _key("id", key_text(700)),  # a Mastodon uri; MySQL's keys end at 768 characters
    Column("source", String(16), nullable=False),
    Column("author", String(300)),
    Column("language", String(64)),
    Column("created_at", Time()),
    Column("event_time", Time(), nullable=False),
    Column("replies", BigInteger),
    Column("reblogs", BigInteger),
    Column("favourites", BigInteger),
    Column("engagement_score", Double),
    Column("deleted", Boolean, nullable=False),
    Column("observed_at", Time(), nullable=False),
    order="observed_at",
)
Index("post_engagement_observed_at", post_engagement.c.observed_at)


def _price(name: str, *, known: bool = True) -> Column[Any]:
    return Column(name, Money(24, 10), nullable=not known)


candles = _table(
    "candles",
    _key("symbol", key_text(names.SYMBOL_LENGTH)),
    _key("resolution", key_text(8)),
    _key("window_start", Time()),
    Column("window_end", Time(), nullable=False),
    _price("open"),
    _price("high"),
    _price("low"),
    _price("close"),
    Column("volume", Money(28, 10), nullable=False),
    _price("vwap", known=False),
    _count("trades"),
    Column("complete", Boolean, nullable=False),  # false: the feed may have lost trades of the window
    _count("updates"),  # trades and price updates that the row knows of
    order="updates",
)
Index("candles_window_start", candles.c.window_start)
symbols = _table(
    "symbols",
    _key("symbol", key_text(names.SYMBOL_LENGTH)),
    Column("topic", key_text(names.SYMBOL_LENGTH), nullable=False, unique=True),
    Column("view_name", key_text(63), nullable=False, unique=True),
)
progress = _table(  # windows that end at the watermark or before are final
    "progress",
    _key("job", key_text(64)),
    Column("watermark", Time()),
    Column("batch", BigInteger, nullable=False),
    Column("updated_at", Time(), nullable=False),
    order="updated_at",
)
gaps = _table(  # when a feed may have lost something
    "gaps",
    _key("source", key_text(16)),
    _key("gap_start", Time()),
    _key("gap_end", Time()),
    Column("host", String(300)),
    Column("reason", String(300)),
)


def create(url: str) -> None:
    """Create all tables, indexes and views that do not exist yet; safe when several processes do it at once.

    Raises Unavailable when the server does not answer, ConfigError when the user may not create tables.
    """
    engine = database.connect(url)
    try:
        with database.errors(engine.url), engine.begin() as connection, one_at_a_time(connection):
            for table in metadata.sorted_tables:
                table.create(connection, checkfirst=True)
                for index in table.indexes:  # a creator that died midway may have left none
                    index.create(connection, checkfirst=True)
            for name, query in VIEWS.items():
                create_view(connection, name, query(metadata.tables))
    finally:
        engine.dispose()


@contextmanager
def one_at_a_time(connection: Connection) -> Iterator[None]:
    """Hold a lock that other creators of tables and views wait for; SQLite's transaction is one already."""
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
