"""Say which windows are full, for views, page and notebooks; docker/superset/windows.sql says the same to Superset."""

from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, func, select

from millrace.sinks.sql.functions import seconds_between


def length(windows: FromClause) -> ColumnElement[int]:
    """Return the seconds that each of `windows` lasts."""
    return seconds_between(windows.c.window_start, windows.c.window_end)


def is_full(windows: FromClause) -> ColumnElement[bool]:
    """Return for each of `windows` whether one of its source and length has begun at its end or later.

    Then an event of that time was seen, so that the window fills no more, but for late events. The newest windows of
    each source and length must be among `windows`. Of windows that overlap, several at a time are not full.
    """
    alike = [windows.c.source, length(windows)]
    return windows.c.window_end <= func.max(windows.c.window_start).over(partition_by=alike)


def full(windows: FromClause) -> Select[Any]:
    """Return those of `windows` that are full, with their columns."""
    told = select(windows, is_full(windows).label("told")).subquery()
    return select(*(told.c[column.name] for column in windows.c)).where(told.c.told)
