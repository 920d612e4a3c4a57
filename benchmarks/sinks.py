"""Rows a second into SQL stores, beside what the driver's bare executemany makes of the same rows."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
from sqlalchemy import Engine, Table

from benchmarks import mill, turns
from benchmarks.report import Figure
from millrace.config import Settings
from millrace.sinks.sql import database, tables
from millrace.sinks.sql import writer as sql
from millrace.sinks.sql.rows import represent
from millrace.sinks.sql.statements import dialect_name, upsert_sql

NAME = "sinks"
SIZES = (2_000, 30_000)  # rows a batch: the usual, and one that is staged
MINUTE = datetime(2026, 7, 4, 12, tzinfo=UTC)


def measure(rounds: int = 11) -> Iterator[Figure]:
    """Yield the sink's rows/s as a share of executemany's, for each store and size; all batches are upserts."""
    with mill.servers("postgres", "mysql") as settings:
        for store in ("sqlite", "postgres", "mysql"):
            for size in SIZES:
                yield compare(settings, store, size, rounds)


def compare(
    settings: Settings, store: str, size: int, rounds: int, *, table: Table = tables.hashtag_counts, name: str = NAME
) -> Figure:
    """Time both ways in turn over the same rows."""
    url = settings.store_url(store)
    tables.create(url)
    engine = database.connect(url)
    batch = rows(size) if table is tables.hashtag_counts else candles(size)
    try:
        return turns.compare(
            name,
            f"{store}, {size:,} rows a batch",
            size=size,
            unit="rows",
            sink=lambda: sql.store(engine, table, batch),
            client="executemany",
            bare=lambda: bare(engine, table, batch),
            rounds=rounds,
        )
    finally:
        engine.dispose()


def rows(count: int) -> pa.Table:
    """Return rows of hashtag_counts, 400 hashtags a window."""
    starts = [MINUTE + timedelta(minutes=index // 400) for index in range(count)]
    columns = {
        "source": pa.array(["bluesky"] * count),
        "window_start": pa.array(starts, pa.timestamp("us", "UTC")),
        "window_end": pa.array([start + timedelta(minutes=1) for start in starts], pa.timestamp("us", "UTC")),
        "hashtag": pa.array([f"hashtag{index * 7919 % 400}" for index in range(count)]),
        "posts": pa.array([index % 1000 for index in range(count)], pa.int64()),
    }
    return pa.table(columns)


def candles(count: int) -> pa.Table:
    """Return rows of candles, 50 symbols a minute."""
    starts = [MINUTE + timedelta(minutes=index // 50) for index in range(count)]
    price, volume = pa.decimal128(24, 10), pa.decimal128(28, 10)
    prices = [Decimal(60_000 + index % 977) + Decimal(index % 1009) / 1000 for index in range(count)]
    columns = {
        "symbol": pa.array([f"BINANCE:U{index % 50}" for index in range(count)]),  # the store has no others of them
        "resolution": pa.array(["1m"] * count),
        "window_start": pa.array(starts, pa.timestamp("us", "UTC")),
        "window_end": pa.array([start + timedelta(minutes=1) for start in starts], pa.timestamp("us", "UTC")),
        **{name: pa.array(prices, price) for name in ("open", "high", "low", "close")},
        "volume": pa.array([Decimal(index % 500) / 8 for index in range(count)], volume),
        "vwap": pa.array(prices, price),
        **{name: pa.array([index % 1000 for index in range(count)], pa.int64()) for name in ("trades", "updates")},
        "complete": pa.array([True] * count),
    }
    return pa.table(columns)


def bare(engine: Engine, table: Table, batch: pa.Table) -> None:
    """One executemany of the driver in one transaction, as short as it can be written."""
    dialect = dialect_name(engine.dialect.name)
    statement = upsert_sql(table, dialect)
    columns = represent(batch, table.columns.keys(), dialect).columns
    values = list(zip(*(column.to_pylist() for column in columns), strict=True))
    with engine.begin() as connection:
        connection.exec_driver_sql(statement, values)
