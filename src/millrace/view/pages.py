"""The pages: each reads the newest rows and draws them, again every few seconds."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import streamlit as st
from sqlalchemy import Engine, Table

from millrace import config
from millrace.errors import ConfigError, MillraceError
from millrace.sinks.sql import database, tables
from millrace.view import bounds, drawing, others
from millrace.view.text import plain

EVERY = 2.0  # seconds between two looks
LOOK_FOR_TABLES = 5.0  # seconds
# Right below the navigation, which leaves a third of a phone empty otherwise; neither pale nor marked while it is
# refreshed; small text nearly as dark, or as light, as all other.
STYLE = """
[data-testid=stMainBlockContainer] {padding-top: 4rem}
[data-testid=stElementContainer][data-stale=true] {opacity: 1 !important; transition: none !important}
[data-testid=stStatusWidget] {display: none}
[data-testid=stCaptionContainer] {opacity: 0.85}
[data-testid=stVegaLiteChart] text {fill: currentColor}
"""


@dataclass(frozen=True)
class Page:
    """A page: `table` is what it shows, `feed` and `job` fill it, `draw` returns whether there was anything."""

    title: str
    table: Table
    feed: str
    job: str
    draw: Callable[[Engine], bool]

    @property
    def path(self) -> str:
        return self.title.lower()

    def commands(self, store: str) -> str:
        """Return what fills it in `store`."""
        return f"millrace ingest {self.feed}\nmillrace run {self.job} --sink {store}"


def main(store: str, home: str) -> None:
    """Draw the page that the reader chose; `store` and `home` are those of `millrace view`."""
    st.set_page_config(layout="wide")
    st.html(f"<style>{STYLE}</style>")
    url = config.load(home=home).store_url(store)
    there = _tables(url)
    known = [st.Page(partial(_live, _draw, url, store, page), title=page.title, url_path=page.path) for page in PAGES]
    # It draws itself what is filled: to switch to that page would take the place of a click that came meanwhile.
    filled = st.session_state["filled"] = st.session_state.get("filled") or _first_filled(url, there)
    first = filled or PAGES[0]
    start = st.Page(partial(_live, _draw, url, store, first), title=first.title, default=True, visibility="hidden")
    more = [st.Page(partial(_live, _table, url, name), title=name, url_path=f"table-{name}")
            for name in others.names(there)]  # fmt: skip
    condition = st.Page(partial(_live, _health, url, store, Path(home)), title="Health", url_path="health")
    chosen = st.navigation([start, *known, *more, condition], position="top")
    st.set_page_config(page_title=f"{chosen.title} - millrace")
    _watch(url, there, waits=chosen is start and not filled)
    st.header(plain(chosen.title))
    chosen.run()


@cache
def _engine(url: str) -> Engine:
    return database.reader(url)


def _tables(url: str) -> frozenset[str]:
    try:
        return others.tables(_engine(url))
    except MillraceError:  # each page says what is wrong
        return frozenset()


@st.fragment(run_every=LOOK_FOR_TABLES)
def _watch(url: str, there: frozenset[str], *, waits: bool) -> None:
    """Draw all anew when tables came or went, or when there is something to show to a reader who waits for it."""
    now = _tables(url)
    if now != there or (waits and _first_filled(url, now)):
        st.rerun()


def _first_filled(url: str, there: frozenset[str]) -> Page | None:
    with suppress(MillraceError):  # each page says what is wrong
        filled = (page for page in PAGES if page.table.name in there and bounds.has_rows(_engine(url), page.table))
        return next(filled, None)
    return None


def _live(draw: Callable[..., None], *arguments: Any) -> None:
    """Draw now and every few seconds; what goes wrong is said and tried again."""

    @st.fragment(run_every=EVERY)
    def body() -> None:
        try:
            draw(*arguments)
        except MillraceError as error:
            st.warning(plain(str(error)))

    body()


def _draw(url: str, store: str, page: Page) -> None:
    try:
        engine = _engine(url)
    except ConfigError:  # no file yet
        drawn = False
    else:
        drawn = page.table.name in others.tables(engine) and page.draw(engine)
    if not drawn:
        st.info("Nothing here yet. These commands fill it:")
        st.code(page.commands(store), language="sh")


def _health(url: str, store: str, home: Path) -> None:
    drawing.jobs(home)
    with suppress(ConfigError):  # no file yet
        drawing.state(_engine(url), store)


def _table(url: str, name: str) -> None:
    drawing.table(_engine(url), name)


PAGES = (
    Page("Candles", tables.candles, "finnhub BINANCE:BTCUSDT AAPL", "candles BINANCE:BTCUSDT AAPL", drawing.candles),
    Page("Hashtags", tables.hashtag_counts, "bluesky", "hashtags", drawing.hashtags),
    Page("Posts", tables.post_counts, "mastodon", "counts --source mastodon", drawing.posts),
    Page("Minutes", tables.dashboard_windows, "mastodon", "dashboard --source mastodon", drawing.minutes),
    Page("Languages", tables.language_counts, "mastodon", "languages --source mastodon",
         partial(drawing.shares, table=tables.language_counts, name="language")),
    Page("Authors", tables.author_counts, "bluesky", "authors",
         partial(drawing.shares, table=tables.author_counts, name="author")),
    Page("Engagement", tables.engagement_windows, "mastodon", "engagement --source mastodon", drawing.engagement),
)  # fmt: skip
