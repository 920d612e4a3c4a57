"""The pages: each reads the newest rows and draws them, again every few seconds."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st
from sqlalchemy import Engine, Table

from millrace.errors import ConfigError, MillraceError
from millrace.sinks.sql import tables
from millrace.view import bounds, cases, drawing, drawing_sentiment, others, replication, sentiment
from millrace.view.stores import Stores
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

    def commands(self, stores: Stores) -> str:
        """Return what fills it."""
        return f"millrace ingest {self.feed}\nmillrace run {self.job} --sink {stores.name}"

    def has_rows(self, stores: Stores, there: frozenset[str]) -> bool:
        """Return whether it shows anything; `there` are the tables."""
        return self.table.name in there and bounds.has_rows(stores.engine, self.table)

    def show(self, stores: Stores) -> bool:
        """Draw it; returns whether there was anything."""
        try:
            engine = stores.engine
        except ConfigError:  # no file yet
            return False
        return self.table.name in others.tables(engine) and self.draw(engine)


@dataclass(frozen=True)
class Documents:
    """The page of documents, which are in MongoDB; else as `Page`."""

    title: str

    def commands(self, stores: Stores) -> str:
        """Return what fills it: a server first, where none is set."""
        server = "" if stores.documents else "millrace up kafka mongodb\n"
        return f"{server}millrace ingest tweets\nmillrace run cases"

    def has_rows(self, stores: Stores, there: frozenset[str]) -> bool:
        """Return whether it shows anything."""
        return bool(stores.documents and cases.newest(stores.documents))

    def show(self, stores: Stores) -> bool:
        """Draw it; returns whether there was anything."""
        return bool(stores.documents and drawing.cases(stores.documents))


@dataclass(frozen=True)
class Copies:
    """The page of tables that are copied from PostgreSQL into ClickHouse; else as `Page`."""

    title: str

    def commands(self, stores: Stores) -> str:
        """Return what fills it: servers first, where none is set."""
        servers = "" if stores.is_captured else "millrace up connect\n"
        return f"{servers}millrace cdc register --demo\nmillrace run cdc --tables {replication.DEMO}"

    def has_rows(self, stores: Stores, there: frozenset[str]) -> bool:
        """Return whether it shows anything."""
        return replication.is_used(stores.home)

    def show(self, stores: Stores) -> bool:
        """Draw it; returns whether there was anything."""
        if not (stores.is_captured or replication.is_used(stores.home)):
            return False
        drawing.replication(stores.home)
        return True


@dataclass(frozen=True)
class Labels:
    """The page of posts' sentiment, which is in ClickHouse; else as `Page`."""

    title: str

    def commands(self, stores: Stores) -> str:
        """Return what fills it."""
        return "millrace ingest mastodon\nmillrace run sentiment --source mastodon --sink clickhouse"

    def has_rows(self, stores: Stores, there: frozenset[str]) -> bool:
        """Return whether it shows anything."""
        return sentiment.is_used(stores.home)

    def show(self, stores: Stores) -> bool:
        """Draw it; returns whether there was anything."""
        url = stores.labels
        return bool(url and drawing_sentiment.draw(url))


AnyPage = Page | Documents | Copies | Labels


def main(store: str, home: str) -> None:
    """Draw the page that the reader chose; `store` and `home` are those of `millrace view`."""
    st.set_page_config(layout="wide")
    st.html(f"<style>{STYLE}</style>")
    stores = Stores(store, Path(home))
    there = stores.tables
    known = [st.Page(partial(_live, _draw, stores, page), title=page.title, url_path=page.title.lower())
             for page in KNOWN]  # fmt: skip
    # It draws itself what is filled: to switch to that page would take the place of a click that came meanwhile.
    filled = st.session_state["filled"] = st.session_state.get("filled") or _first_filled(stores, there)
    first = filled or PAGES[0]
    start = st.Page(partial(_live, _draw, stores, first), title=first.title, default=True, visibility="hidden")
    more = [st.Page(partial(_live, _table, stores, name), title=name, url_path=f"table-{name}")
            for name in others.names(there)]  # fmt: skip
    condition = st.Page(partial(_live, _health, stores), title="Health", url_path="health")
    chosen = st.navigation([start, *known, *more, condition], position="top")
    st.set_page_config(page_title=f"{chosen.title} - millrace")
    _watch(stores, there, waits=chosen is start and not filled)
    st.header(plain(chosen.title))
    chosen.run()


@st.fragment(run_every=LOOK_FOR_TABLES)
def _watch(stores: Stores, there: frozenset[str], *, waits: bool) -> None:
    """Draw all anew when tables came or went, or when there is something to show to a reader who waits for it."""
    now = stores.tables
    if now != there or (waits and _first_filled(stores, now)):
        st.rerun()


def _first_filled(stores: Stores, there: frozenset[str]) -> AnyPage | None:
    for page in KNOWN:
        with suppress(MillraceError):  # each page says what is wrong
            if page.has_rows(stores, there):
                return page
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


def _draw(stores: Stores, page: AnyPage) -> None:
    if not page.show(stores):
        st.info("Nothing here yet. These commands fill it:")
        st.code(page.commands(stores), language="sh")


def _health(stores: Stores) -> None:
    drawing.jobs(stores.home)
    with suppress(ConfigError):  # no file yet
        drawing.state(stores.engine, stores.name)


def _table(stores: Stores, name: str) -> None:
    drawing.table(stores.engine, name)


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
KNOWN: tuple[AnyPage, ...] = (*PAGES, Documents("Cases"), Labels("Sentiment"), Copies("Replication"))
