"""Maintain what SQL stores keep beside candles: a view per symbol, incomplete windows, the job's progress."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product

import pyarrow as pa
from sqlalchemy import Connection, Engine, bindparam, insert, inspect, select, table, text, update

from millrace import names
from millrace.errors import ConfigError
from millrace.kafka.gaps import Span
from millrace.sinks.retry import Patience
from millrace.sinks.sql import database, reserved_words, tables
from millrace.sinks.sql.views import VIEWS, candles_flat, create_view, exchange_view
from millrace.sinks.sql.writer import store

TEXT, TIME = pa.string(), pa.timestamp("us", "UTC")
LONGEST_CHECKPOINT = 255  # characters
LONGEST = timedelta(days=1)  # the longest window


class Taken(ConfigError):
    """Another symbol already has the topic or view that this symbol would get."""


def register(url: str, topics: Mapping[str, str], *, flat: bool = False) -> dict[str, str]:
    """Create a view for each symbol that has none and note it in table `symbols`; returns the views by symbol.

    `topics` are the symbols' topics. `flat` views also have a candle for windows without trades. An existing view stays
    as it is, unless it is flat and should not be, or the other way round: changing that takes the right to drop it.
    Raises Taken, a ConfigError, when another symbol has a topic or view that one would get.
    """
    engine = database.connect(url)
    try:
        with database.errors(engine.url), engine.begin() as connection:
            tables.wait_for_others(connection)
            known = {row.symbol: row.view_name for row in connection.execute(select(tables.symbols))}
            taken = _taken(connection, known)
            fresh = {symbol: names.symbol_view(symbol, taken) for symbol in topics if symbol not in known}
            _refuse_shared(connection, topics, fresh, taken)
            if fresh:
                rows = [{"symbol": s, "topic": topics[s], "view_name": view} for s, view in fresh.items()]
                connection.execute(insert(tables.symbols), rows)
            there = set(inspect(connection).get_view_names())
            source = candles_flat(tables.metadata.tables).subquery("c") if flat else tables.candles
            stored = known | fresh
            views = {symbol: names.identifier(stored[symbol]) for symbol in topics}
            for symbol, view in views.items():
                query = select(source).where(source.c.symbol == symbol)
                if view not in there:
                    create_view(connection, view, query, replace=False)
                elif _is_flat(connection, view) != flat:
                    change = f"view {view}, to change which by --gaps takes the right DROP on it, in "
                    with database.errors(engine.url, change):
                        exchange_view(connection, view, query)
            return views
    finally:
        engine.dispose()


def _taken(connection: Connection, known: Mapping[str, str]) -> set[str]:
    """Return the names that no symbol can get: those of tables and other views, and SQL's reserved words."""
    seen = inspect(connection)
    return {*seen.get_table_names(), *seen.get_view_names(), *VIEWS, *reserved_words.WORDS} - set(known.values())


def _is_flat(connection: Connection, view: str) -> bool:
    columns = connection.execute(select(text("*")).select_from(table(view)).limit(0)).keys()
    return "flat" in columns


def _refuse_shared(
    connection: Connection, topics: Mapping[str, str], fresh: Mapping[str, str], taken: Collection[str]
) -> None:
    others = {row.topic: row.symbol for row in connection.execute(select(tables.symbols))}
    views = {row.view_name: row.symbol for row in connection.execute(select(tables.symbols))}
    problems = [
        f"{symbol} would have the topic {topics[symbol]}, which {others[topics[symbol]]} has"
        for symbol in fresh
        if topics[symbol] in others
    ]
    for symbol, view in fresh.items():
        if view in taken or view in views:
            problems.append(f"{symbol} would have the view {view}, which is there already")
        views[view] = symbol
    if problems:
        raise Taken("; ".join(problems))


def mark_incomplete(engine: Engine, gaps: Sequence[Span], patience: Patience | None = None) -> None:
    """Set `complete` to false for all candles, flat ones too, that one of `gaps` touches; raises as `upsert` does."""
    if not gaps:
        return
    statements = [
        update(each)
        .where(
            each.c.complete,
            each.c.window_start <= bindparam("end"),
            each.c.window_end > bindparam("start"),
            each.c.window_start > bindparam("earliest"),  # lets the database use the index
        )
        .values(complete=False)
        for each in (tables.candles, tables.candle_windows)
    ]
    spans = [{"start": start, "end": end, "earliest": start - LONGEST} for start, end in gaps]

    def attempt() -> None:
        with database.errors(engine.url, "table candles in "), engine.begin() as connection:
            for statement, span in product(statements, spans):
                connection.execute(statement, span)

    (patience or Patience()).attempt(attempt)


def note_progress(
    engine: Engine,
    job: str,
    batch: int,
    watermark: datetime | None,
    patience: Patience | None = None,
    *,
    checkpoint: str = "",
) -> None:
    """Write into table `progress` how far `job` is: windows that end at or before `watermark` are final.

    Two jobs of one name are told apart by their `checkpoint`, of which the last 255 characters are stored.
    """
    place = checkpoint[-LONGEST_CHECKPOINT:]
    row = {"job": job, "checkpoint": place, "watermark": watermark, "batch": batch, "updated_at": datetime.now(UTC)}
    kinds = {"job": TEXT, "checkpoint": TEXT, "watermark": TIME, "batch": pa.int64(), "updated_at": TIME}
    store(engine, tables.progress, pa.Table.from_pylist([row], pa.schema(list(kinds.items()))), patience=patience)
