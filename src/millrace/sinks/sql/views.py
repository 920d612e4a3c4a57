"""Define the views over the result tables: ranks, shares and changes that streaming cannot compute, in all dialects.

Each is a function of the tables, or of parts of them: the view of a whole table takes as long as the table is large.
Views of windows say of each whether it `is_full` (`windows.is_full`).
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Subquery,
    and_,
    case,
    func,
    literal_column,
    not_,
    select,
)

from millrace.sinks.sql.functions import ratio
from millrace.sinks.sql.statements import DIALECTS, dialect_name
from millrace.sinks.sql.windows import is_full, length


def trending_hashtags(tables: Mapping[str, FromClause]) -> Select[Any]:
    """Return hashtag_counts with `previous`, `change`, `share` and `rank` of each hashtag in its source and window.

    `previous` is its posts in the window before, 0 if it had none: the window of the same source and length that starts
    next before this one (sliding windows overlap). `change` is posts - previous, `share` its part (0 to 1) of the
    hashtag uses counted in the window. Equal counts have the same `rank`.
    """
    counts = tables["hashtag_counts"]
    now, then, before = counts.alias("c"), counts.alias("p"), _windows_before(counts)
    previous = func.coalesce(then.c.posts, 0)
    window = [now.c.source, now.c.window_start, now.c.window_end]
    this_window = [before.c[column.name] == column for column in window]
    same_tag_before = [
        then.c.source == now.c.source,
        then.c.window_start == before.c.before_start,
        then.c.window_end == before.c.before_end,
        then.c.hashtag == now.c.hashtag,
    ]
    return select(
        *window,
        now.c.hashtag,
        now.c.posts,
        previous.label("previous"),
        (now.c.posts - previous).label("change"),
        ratio(now.c.posts, func.sum(now.c.posts).over(partition_by=window)).label("share"),
        func.rank().over(partition_by=window, order_by=now.c.posts.desc()).label("rank"),
        before.c.is_full,
    ).select_from(now.join(before, and_(*this_window)).outerjoin(then, and_(*same_tag_before)))


def _windows_before(counts: FromClause) -> Subquery:
    """Return each window of `counts`, whether it is full, and beside it the one before, NULL for the first."""
    keys = [counts.c.source, counts.c.window_start, counts.c.window_end]
    windows = select(*keys).distinct().subquery("windows")
    start, end = windows.c.window_start, windows.c.window_end
    alike = [windows.c.source, length(windows)]
    return select(
        *windows.c,
        is_full(windows).label("is_full"),
        func.lag(start).over(partition_by=alike, order_by=start).label("before_start"),
        func.lag(end).over(partition_by=alike, order_by=start).label("before_end"),
    ).subquery("b")


def language_shares(tables: Mapping[str, FromClause]) -> Select[Any]:
    """Return language_counts with each language's `rank` and `share` (0 to 1) of the posts in its source and window."""
    return _ranked(tables["language_counts"], "language")


def most_active_authors(tables: Mapping[str, FromClause]) -> Select[Any]:
    """Return author_counts with each author's `rank` and `share` (0 to 1) of the posts in its source and window."""
    return _ranked(tables["author_counts"], "author")


def _ranked(counts: FromClause, name: str) -> Select[Any]:
    window = [counts.c.source, counts.c.window_start, counts.c.window_end]
    return select(
        *window,
        counts.c[name],
        counts.c.posts,
        ratio(counts.c.posts, func.sum(counts.c.posts).over(partition_by=window)).label("share"),
        func.rank().over(partition_by=window, order_by=counts.c.posts.desc()).label("rank"),
        is_full(counts).label("is_full"),
    )


def minute_dashboard(tables: Mapping[str, FromClause]) -> Select[Any]:
    """Return the one-minute rows of dashboard_windows with `top_hashtag` and `top_hashtag_posts`.

    These come from the counts of job hashtags: the first by alphabet among equals; NULL while nobody counts hashtags,
    or in a minute without any.
    """
    minutes, tags = tables["dashboard_windows"].alias("d"), _numbered(tables["hashtag_counts"])
    top = [tags.c[name] == minutes.c[name] for name in ("source", "window_start", "window_end")]
    tag = [tags.c.hashtag.label("top_hashtag"), tags.c.posts.label("top_hashtag_posts")]
    return (
        select(*minutes.c, *tag, is_full(minutes).label("is_full"))
        .select_from(minutes.outerjoin(tags, and_(*top, tags.c.place == 1)))
        .where(length(minutes) == 60)
    )


def _numbered(counts: FromClause) -> Subquery:
    """Return hashtag_counts with each hashtag's `place` in its source and window, every place given once."""
    window = [counts.c.source, counts.c.window_start, counts.c.window_end]
    order = [counts.c.posts.desc(), counts.c.hashtag]
    return select(counts, func.row_number().over(partition_by=window, order_by=order).label("place")).subquery("t")


def candles_flat(tables: Mapping[str, FromClause]) -> Select[Any]:
    """Return the candles and, for each window without trades between two of them, a flat one at the last close.

    `flat` marks these. A flat candle has volume 0, no VWAP, and is `complete` unless the feed may have lost trades in
    its window. A hole of more than 10,000 windows is filled for its first 10,000. Which candle a window shows stands in
    candle_windows: without unions and subqueries, all dialects take rows of a range by the keys.
    """
    candle, shown = tables["candles"], tables["candle_windows"]
    key = [candle.c.symbol == shown.c.symbol, candle.c.resolution == shown.c.resolution]
    its_own = shown.c.since == shown.c.window_start

    def price(name: str) -> ColumnElement[Any]:
        return case((its_own, candle.c[name]), else_=candle.c.close).label(name)

    def amount(name: str) -> ColumnElement[Any]:
        return case((its_own, candle.c[name]), else_=literal_column("0")).label(name)

    return select(
        shown.c.symbol, shown.c.resolution, shown.c.window_start, shown.c.window_end,
        price("open"), price("high"), price("low"), candle.c.close,
        amount("volume"), case((its_own, candle.c.vwap)).label("vwap"), amount("trades"),
        case((its_own, candle.c.complete), else_=shown.c.complete).label("complete"), not_(its_own).label("flat"),
    ).select_from(shown.join(candle, and_(*key, candle.c.window_start == shown.c.since)))  # fmt: skip


VIEWS: dict[str, Callable[[Mapping[str, FromClause]], Select[Any]]] = {
    view.__name__: view
    for view in (trending_hashtags, language_shares, most_active_authors, minute_dashboard, candles_flat)
}


def create_view(connection: Connection, name: str, query: Select[Any], *, replace: bool = True) -> None:
    """Create view `name`, or with `replace` also replace it, which takes the right to drop it."""
    dialect = dialect_name(connection.dialect.name)
    body = query.compile(dialect=DIALECTS[dialect], compile_kwargs={"literal_binds": True})
    if dialect == "sqlite" and replace:
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
    create = "CREATE OR REPLACE" if replace and dialect != "sqlite" else "CREATE"
    connection.exec_driver_sql(f"{create} VIEW {name} AS {body}")


def exchange_view(connection: Connection, name: str, query: Select[Any]) -> None:
    """Replace view `name` by one with other columns, for which PostgreSQL needs a DROP first."""
    replaced = dialect_name(connection.dialect.name) == "mysql"
    if not replaced:
        connection.exec_driver_sql(f"DROP VIEW {name}")
    create_view(connection, name, query, replace=replaced)
