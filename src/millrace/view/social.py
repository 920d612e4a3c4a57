"""What the pages of posts show: rows of the newest windows as pandas, from queries that indexes bound."""

from datetime import timedelta

import pandas as pd
from sqlalchemy import ColumnElement, Engine, Table, func, literal, select

from millrace.sinks.sql import tables, views, windows
from millrace.sinks.sql.columns import Time
from millrace.sinks.sql.functions import ratio, seconds_between
from millrace.view import bounds

TOP = 20
WINDOWS = 30  # of a sparkline
HOUR = timedelta(hours=1)
INSTANT = timedelta(milliseconds=1)


def hashtags(engine: Engine, source: str, length: timedelta) -> pd.DataFrame:
    """Return the top hashtags of the newest full window, none when nothing was counted.

    Columns: window_start, hashtag, posts, previous, change, share, rank, is_full as in view trending_hashtags;
    `filling`, the posts so far in the window that is full next; `history`, a list of the posts in each of the newest
    full windows.
    Before any window is full, the one that is full next takes its place, with `is_full` false.
    """
    table = tables.hashtag_counts
    latest = bounds.latest(engine, table, source, length, (WINDOWS + 1) * length)
    full, filling = bounds.starts(engine, latest) if latest is not None else ([], [])
    if not filling:
        return pd.DataFrame()
    past, now = full[:WINDOWS][::-1], filling[-1]
    [*_, before, shown] = past if len(past) > 1 else 2 * (past or [now])
    pair = bounds.between(table, source, length, before - INSTANT, shown)
    trend = views.trending_hashtags({table.name: pair}).subquery()
    top = select(trend).where(trend.c.window_start == shown, trend.c.rank <= TOP)
    found = bounds.frame(engine, top.order_by(trend.c.rank, trend.c.hashtag).limit(TOP))
    seen = bounds.between(table, source, length, min([*past, now]) - INSTANT, now)
    columns = (seen.c.hashtag, seen.c.window_start, seen.c.posts)
    counts = bounds.frame(engine, select(*columns).where(seen.c.hashtag.in_(list(found["hashtag"]))))
    grid = counts.pivot(index="hashtag", columns="window_start", values="posts")
    posts = grid.reindex(index=found["hashtag"], columns=[*past, now]).fillna(0).astype(int).to_numpy()
    history = pd.Series(posts[:, :-1].tolist(), dtype=object)
    return found.assign(is_full=bool(full), filling=posts[:, -1], history=history)


def shares(engine: Engine, table: Table, name: str, source: str, length: timedelta) -> pd.DataFrame:
    """Return the top values of column `name` (language or author) of the last hour, with posts and share (0 to 1).

    Of windows that overlap, those are added that end where the next begins, back from the newest: so all posts up to
    now are counted once, those of the window that is filling, too.
    """
    every = bounds.latest(engine, table, source, length, max(HOUR, length))
    newest = bounds.newest(engine, every.c.window_start) if every is not None else None
    if every is None or newest is None:
        return pd.DataFrame()
    before = seconds_between(every.c.window_start, literal(newest, Time()))
    rows = select(every).where(before % max(1, int(length.total_seconds())) == 0).subquery()
    posts = func.sum(rows.c.posts)
    whole = select(func.sum(rows.c.posts)).scalar_subquery()
    share = ratio(posts, whole).label("share")
    query = select(rows.c[name], posts.label("posts"), share).group_by(rows.c[name])
    return bounds.frame(engine, query.order_by(posts.desc(), rows.c[name]).limit(TOP)).astype({"posts": int})


def rate(engine: Engine, source: str, length: timedelta) -> pd.DataFrame:
    """Return window_start, window_end and `posts` a minute for the full windows of the last hour, oldest first."""
    rows = bounds.latest(engine, tables.post_counts, source, length, max(HOUR, WINDOWS * length))
    if rows is None:
        return pd.DataFrame()
    each = windows.full(rows).subquery()
    a_minute = ratio(each.c.posts * 60, windows.length(each)).label("posts")
    return bounds.frame(engine, select(each.c.window_start, each.c.window_end, a_minute).order_by(each.c.window_start))


def minutes(engine: Engine, source: str) -> pd.DataFrame:
    """Return view minute_dashboard for the last hour, newest first, with the minutes that are not full."""
    minute, facts = timedelta(minutes=1), tables.dashboard_windows
    last = bounds.newest(engine, facts.c.window_start, facts.c.source == source)
    if last is None:
        return pd.DataFrame()
    parts = {
        table.name: bounds.between(table, source, minute, last - HOUR, last) for table in (facts, tables.hashtag_counts)
    }
    query = views.minute_dashboard(parts).subquery()
    return bounds.frame(engine, select(query).order_by(query.c.window_start.desc()))


def engagement(engine: Engine, source: str, length: timedelta) -> pd.DataFrame:
    """Return window_start, window_end, readings, average_score and max_score of the full windows of the last hour."""
    rows = bounds.latest(engine, tables.engagement_windows, source, length, max(HOUR, WINDOWS * length))
    if rows is None:
        return pd.DataFrame()
    names = ("window_start", "window_end", "readings", "average_score", "max_score")
    each = windows.full(rows).subquery()
    return bounds.frame(engine, select(*(each.c[name] for name in names)).order_by(each.c.window_start))


def reactions(engine: Engine) -> pd.DataFrame:
    """Return the posts with the highest scores among those looked at in the last hour."""
    posts = tables.post_engagement
    last = bounds.newest(engine, posts.c.observed_at)
    if last is None:
        return pd.DataFrame()
    names = ("source", "author", "language", "engagement_score", "replies", "reblogs", "favourites", "created_at", "id")
    recent: list[ColumnElement[bool]] = [posts.c.observed_at > last - HOUR, posts.c.engagement_score > 0]
    query = select(*(posts.c[name] for name in names)).where(*recent)
    return bounds.frame(engine, query.order_by(posts.c.engagement_score.desc(), posts.c.id).limit(TOP))
