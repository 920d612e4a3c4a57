"""What tests of the page share: where it is served, its pages, and how a reader gets to one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import support
from tests.support import Child

PAGES = {
    "candles": ("AAPL", "change", "incomplete"),
    "hashtags": ("café", "مرحبا", "newest full window"),
    "posts": ("Posts a minute", "up to"),
    "minutes": ("window start", "posts"),
    "languages": ("und", "share"),
    "authors": ("ann",),
    "engagement": ("author8", "Score = "),
    "cases": ("millrace up kafka mongodb", "millrace run cases"),  # filled ones are in test_cases.py
    "sentiment": ("millrace ingest mastodon", "millrace run sentiment"),  # a filled one is in test_sentiment.py
    "replication": ("millrace up connect", "millrace cdc register"),  # a filled one is in test_replication.py
    "health": ("hashtag_counts", "candles", "Gaps", "finnhub", "silent for"),
}
# The page scrolls in an element of Streamlit's: the document itself is never wider than the window.
FITS = """[document.scrollingElement, document.querySelector('[data-testid=stMain]')].every(
    each => each && each.scrollWidth <= each.clientWidth && each.clientWidth <= 390)"""


@dataclass
class View:
    """The page of a home of its own, with an SQLite store."""

    home: Path
    server: Child
    url: str

    @property
    def store(self) -> str:
        return support.sqlite(self.home)


def visit(browser: Any, name: str) -> None:
    """Follow the link to a page: an address below the root makes Streamlit try two, one of which is not found."""
    link = "[...document.querySelectorAll('a')].find(each => each.textContent.trim() === arguments[0])"
    browser.sees(f"(found => found && (found.click(), true))({link})", name.title())
    browser.sees("document.querySelector('h2')?.textContent.trim() === arguments[0]", name.title())
