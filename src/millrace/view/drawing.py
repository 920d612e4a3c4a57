"""The pages' content: what the other modules read, as figures, charts and tables of Streamlit."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import streamlit as st
from sqlalchemy import Engine, Table
from streamlit.column_config import Column, LineChartColumn, NumberColumn

from millrace.sinks.sql import tables
from millrace.view import bounds, charts, health, market, others, parts, social
from millrace.view import cases as tweets
from millrace.view import replication as copied
from millrace.view.text import number, plain

DAY = timedelta(days=1)
SHARE = NumberColumn("share", format="percent")
SHOWN = {
    "hashtags": ("rank", "hashtag", "posts", "change", "history", "filling", "share"),
    "minutes": ("window_start", "posts", "authors", "bots", "average_score", "top_language", "top_hashtag"),
}


def _window(engine: Engine, table: Table) -> tuple[str, timedelta] | None:
    """Let the reader choose a source and the length of its windows, None where there are no rows."""
    sources = bounds.different(engine, table.c.source)
    if not sources:
        return None
    with parts.line():
        source = parts.choose("source", sources, f"{table.name}-source")
        lengths = bounds.lengths(engine, table, source)
        length = parts.choose("window", lengths, f"{table.name}-window", lambda each: health.span(each.total_seconds()))
    return source, length


def _any_full(windows: pd.DataFrame) -> bool:
    """Return whether there are full windows, and say it where there are none."""
    if windows.empty:
        st.info("No window is full yet: the first is shown once the next has begun after it.")
    return not windows.empty


def candles(engine: Engine) -> bool:
    symbols = market.symbols(engine)
    if not symbols:
        return False
    with parts.line():
        symbol = parts.choose(
            f"the first {bounds.MOST} symbols" if len(symbols) == bounds.MOST else "symbol", symbols, "symbol"
        )
        resolution = parts.choose("resolution", market.resolutions(engine, symbol), "resolution")
    rows = market.candles(engine, symbol, resolution)
    last, broken = rows.iloc[-1], int((~rows["complete"]).sum())
    change = last["close"] / rows.iloc[0]["open"] - 1 if rows.iloc[0]["open"] else 0.0
    parts.figures(
        {
            plain(symbol): number(last["close"]),
            "change": f"{change:+.2%}",
            "volume": number(rows["volume"].sum()),
            "incomplete": f"{broken} of {len(rows)}",
        }
    )
    drawn = market.drawn(rows)
    st.vega_lite_chart(drawn, charts.candles(symbol), key="candles")
    st.vega_lite_chart(drawn, charts.volume(symbol), key="volume")
    what = "Rising candles are filled blue, falling ones hollow orange, incomplete ones pale;"
    parts.until(rows["window_start"], what, "the newest began at")
    return True


def hashtags(engine: Engine) -> bool:
    if (chosen := _window(engine, tables.hashtag_counts)) is None:
        return False
    found = social.hashtags(engine, *chosen)
    columns = {
        "change": NumberColumn("change", format="%+d", help="posts against the window before"),
        "filling": NumberColumn("so far", help="posts in the window that is full next"),
        "history": LineChartColumn("full windows", y_min=0, color=charts.RISE),
        "share": SHARE,
    }
    parts.grid(found, "Trending hashtags", columns, height="content", column_order=SHOWN["hashtags"])
    if found["is_full"].all():
        parts.until(found["window_end"], "Ranked in the newest full window, that is")
    else:
        parts.until(found["window_start"], "No window is full yet: ranked so far", "in that which began at")
    return True


def posts(engine: Engine) -> bool:
    if (chosen := _window(engine, tables.post_counts)) is None:
        return False
    rate = social.rate(engine, *chosen)
    if _any_full(rate):
        parts.figures({"posts a minute": f"{rate['posts'].iloc[-1]:,.0f}"})
        st.vega_lite_chart(rate, charts.line("Posts a minute", "posts"), key="rate")
        parts.until(rate["window_end"], "Posts a minute,")
    return True


def minutes(engine: Engine) -> bool:
    sources = bounds.different(engine, tables.dashboard_windows.c.source)
    if not sources:
        return False
    rows = social.minutes(engine, parts.choose("source", sources, "dashboard-source"))
    if rows.empty:
        st.info("Windows of one minute are shown here, and the newest hour has none: `--window 1m` counts them.")
        return True
    full = rows[rows["is_full"]].head(60)
    if _any_full(full):
        st.vega_lite_chart(full[::-1], charts.line("Posts and authors a minute", "posts", "authors"), key="minutes")
        parts.grid(full, "Minute by minute", column_order=SHOWN["minutes"])
    return True


def shares(engine: Engine, table: Table, name: str) -> bool:
    if (chosen := _window(engine, table)) is None:
        return False
    found = social.shares(engine, table, name, *chosen)
    st.vega_lite_chart(found, charts.bars(f"Posts by {name}", name), key=name)
    parts.grid(found, f"Posts by {name}", {"share": SHARE})
    return True


def engagement(engine: Engine) -> bool:
    if (chosen := _window(engine, tables.engagement_windows)) is None:
        return False
    windows = social.engagement(engine, *chosen)
    if _any_full(windows):
        st.vega_lite_chart(windows, charts.line("Engagement score", "average_score", "max_score"), key="scores")
        what = "Score = 3 x replies + 2 x reblogs + favourites, unless the job says otherwise;"
        parts.until(windows["window_end"], what)
    parts.grid(social.reactions(engine), "Posts with the highest scores", {"id": Column("post")})
    return True


def cases(url: str) -> bool:
    if (newest := tweets.newest(url)) is None:
        return False
    rows = tweets.windows(url, newest)
    full = tweets.full(rows)[::-1]
    days = tweets.age(newest)
    known = newest["total_cases_count"]
    parts.figures(
        {
            "tweets in the newest full window": f"{full['tweets'].iloc[-1]:,}" if len(full) else "none is full",
            f"cases: {plain(newest['country'])}": "unknown" if known is None else f"{known:,}",
            "their age": "today's" if days == 0 else health.span(days * DAY.total_seconds()),
        }
    )
    if _any_full(full):
        st.vega_lite_chart(full, charts.line("Tweets a window", "tweets"), key="tweets")
        parts.until(full["window_end"], "Tweets a window,")
    parts.grid(rows, "Newest windows", height=300, column_order=tweets.SHOWN)
    st.subheader("The newest document")
    with parts.line():
        parts.grid(tweets.numbers(newest), "Case numbers", width=300)
        parts.grid(tweets.texts(newest), "Newest texts", width=700)
    st.caption(plain(f"Numbers of {newest['as_of']}, of {newest['source_url']}; what it does not tell is blank."))
    return True


def jobs(home: Path) -> None:
    """Draw what the jobs told."""
    told = health.jobs(home)
    if told.empty:
        st.info("No job has told anything yet. One starts with:")
        st.code("millrace run hashtags", language="sh")
        return
    running = told[told["state"] == health.RUNNING]
    parts.figures({name: f"{running[name].fillna(0).sum():,.0f}" for name in ("rows/s", "lag", "late", "bad")})
    st.subheader("Jobs")
    parts.grid(told, "What each job last told")


def state(engine: Engine, store: str) -> None:
    """Draw how old the rows of a store are, up to when they are final, and what may lack."""
    there, now = others.tables(engine), datetime.now(UTC)
    if missing := {"gaps", "progress"} - there:
        st.info(f"The store has no table {' or '.join(sorted(missing))} yet. This command makes all:")
        st.code(f"millrace tables create --store {store}", language="sh")
        return
    gaps, far, ages = health.gaps(engine), health.progress(engine), health.ages(engine, there)
    recent = sum(end > now - DAY for end in gaps["gap_end"])
    newest = f"{health.span((now - max(ages.values())).total_seconds())} ago" if ages else "none yet"
    parts.figures({"newest window began": newest, "gaps in 24 h": f"{recent}{'+' * (recent == health.GAPS)}"})
    began = pd.DataFrame(ages.items(), columns=["table", "began"])
    began["age"] = [health.span((now - moment).total_seconds()) for moment in ages.values()]
    for title, rows in (("Newest window of each table", began), ("Final up to", far), ("Gaps: data may lack", gaps)):
        if len(rows):
            st.subheader(title)
            parts.grid(rows, title)


def table(engine: Engine, name: str) -> None:
    """Draw the rows of a table that no page is made for."""
    st.dataframe(others.rows(engine, name), hide_index=True, alt=f"Rows of {name}")


def replication(home: Path) -> None:
    """Draw both sides of what is copied, what stands still and how it goes on, and the last verdict."""
    watch = copied.watch(home)
    state, verdict = watch.now(), copied.verdict(home)
    parts.figures(copied.figures(state, verdict))
    for wrong in state.wrong:
        st.warning(plain(wrong.what))
        st.code(wrong.mend, language="sh")
    if state.copies:
        parts.grid(copied.copies(state), "Copied tables")
        known = "Rows of large tables are what the servers estimate. " if copied.is_estimated(state) else ""
        st.caption(f"{known}Changes are those of the last minute; a delete is two records. Times are the source's.")
        past = copied.past(list(watch.past))
        told = {"seconds_behind": "Seconds behind PostgreSQL", "KiB_not_confirmed": "KiB of log not confirmed"}
        for name, title in told.items():
            if past[name].notna().any():
                st.caption(f"{title}, since this page was first looked at")
                st.vega_lite_chart(past, charts.line(title, name), key=name)
    st.subheader("The last verify")
    if verdict is None:
        st.info("Nothing has been compared yet. This command does:")
        st.code(f"millrace cdc verify --tables {','.join(copy.table for copy in state.copies)}", language="sh")
        return
    parts.grid(copied.compared(verdict), "Tables compared")
    if len(found := copied.differences(verdict)):
        parts.grid(found, "Differences")
    st.caption(
        plain(f"Both sides at {verdict['lsn']} of the source's log, {verdict['at'][:19]} UTC {verdict['behind']}")
    )
