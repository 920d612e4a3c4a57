"""The newest part of a table, found through its indexes: no query here reads a whole table of facts."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
from sqlalchemy import ColumnElement, Engine, FromClause, Select, Table, func, literal, select

from millrace.sinks.sql import database, windows

LOOK_BACK = timedelta(hours=1)  # in which windows of every length that is still counted begin
MOST = 100  # sources, symbols or resolutions to choose among


def frame(engine: Engine, query: Select[Any]) -> pd.DataFrame:
    """Return the rows of a query, times in UTC; raises what `database.errors` does."""
    return pd.DataFrame(rows(engine, query), columns=[column.name for column in query.selected_columns])


def rows(engine: Engine, query: Select[Any]) -> Sequence[Any]:
    """Return the rows of a query; raises what `database.errors` does."""
    with database.errors(engine.url), engine.connect() as connection:
        return connection.execute(query).all()


def first(engine: Engine, query: Select[Any]) -> Any:
    """Return the first value of the first row, None where there is no row; raises what `database.errors` does."""
    with database.errors(engine.url), engine.connect() as connection:
        return connection.scalars(query.limit(1)).first()


def has_rows(engine: Engine, table: Table) -> bool:
    """Return whether a table has any row; raises what `database.errors` does."""
    return first(engine, select(literal(1)).select_from(table)) is not None


def different(engine: Engine, column: ColumnElement[Any], *where: ColumnElement[bool]) -> list[Any]:
    """Return the different values of a column that an index leads to after `where`, one look-up each, in order."""
    found: list[Any] = []
    while len(found) < MOST:
        beyond = [column > found[-1]] if found else []
        value = first(engine, select(func.min(column)).where(*where, *beyond))
        if value is None:
            break
        found.append(value)
    return found


def newest(engine: Engine, column: ColumnElement[Any], *where: ColumnElement[bool]) -> datetime | None:
    """Return the highest time in a column that an index leads to after `where`, None where there is none."""
    moment: datetime | None = first(engine, select(func.max(column)).where(*where))
    return moment


def lengths(engine: Engine, table: Table, source: str) -> list[timedelta]:
    """Return the lengths of the windows that are being counted, the shortest first."""
    last = newest(engine, table.c.window_start, table.c.source == source)
    if last is None:
        return []
    recent = [table.c.source == source, table.c.window_start > last - LOOK_BACK]
    windows = rows(engine, select(table.c.window_start, table.c.window_end).where(*recent).distinct())
    return sorted({end - start for start, end in windows})


def latest(engine: Engine, table: Table, source: str, length: timedelta, span: timedelta) -> FromClause | None:
    """Return the rows of windows of one length that begin in the last `span` of a table, None where it has none."""
    last = newest(engine, table.c.window_start, table.c.source == source)
    return None if last is None else between(table, source, length, last - span, last)


def between(table: Table, source: str, length: timedelta, start: datetime, end: datetime) -> FromClause:
    """Return the rows of windows of one length that begin after `start` and not after `end`."""
    began = table.c.window_start
    long = windows.length(table) == int(length.total_seconds())
    return select(table).where(table.c.source == source, began > start, began <= end, long).subquery()


def starts(engine: Engine, latest: FromClause) -> tuple[list[datetime], list[datetime]]:
    """Return the starts of the windows in `latest` that are full, and of those that are not, newest first."""
    each = select(latest.c.source, latest.c.window_start, latest.c.window_end).distinct().subquery()  # few: soon told
    found = rows(engine, select(each.c.window_start, windows.is_full(each)).order_by(each.c.window_start.desc()))
    return [start for start, full in found if full], [start for start, full in found if not full]
