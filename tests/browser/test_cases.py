"""The page of cases in a browser: documents of a real MongoDB, live, light, dark, on a phone, and hostile ones."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests import documents, support
from tests.browser.page import View, visit
from tests.stored import HOSTILE

from millrace.config import Settings
from millrace.kafka.results import TWEET_CASES
from millrace.sinks.mongodb import cluster

CELLS = "[...document.querySelectorAll('[data-testid=stDataFrame] td')].map(cell => cell.textContent)"


@pytest.fixture
def collection(view: View, mongodb: Settings) -> Iterator[Any]:
    """A quarter of an hour of windows up to now, on a server that came after the page."""
    url = mongodb.store_url("mongodb")
    found = cluster.collection(url, TWEET_CASES.documents)
    found.delete_many({})
    start = support.window(support.now())
    found.insert_many([documents.window(-n, 400 + n * 37 % 61, start) for n in range(45)])
    (view.home / "servers.env").write_text(f"MILLRACE_MONGODB_URL={url}\n")
    yield found
    found.delete_many({})


@pytest.mark.usefixtures("collection")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_windows_numbers_and_texts(view: View, browser: Any, picture: Callable[[str], None], scheme: str) -> None:
    browser.media(scheme)
    browser.get(view.url)
    browser.reads("cases: World", "1,000,000")  # shown first, for nothing else is filled
    visit(browser, "cases")
    browser.reads("tweets in the newest full window", "437", "#cat 2", "tweet 399", "total deaths", "2024-04-13")
    browser.size(1280, 1500)
    picture(f"cases-filled-{scheme}")
    browser.sees(f"{CELLS}.join().includes('total deaths,1000001,')")
    assert browser.strangers() == set()
    assert browser.complaints() == []


def test_it_is_live_and_text_is_text(view: View, browser: Any, collection: Any) -> None:
    browser.get(f"{view.url}/cases")
    browser.reads("tweet 399")
    browser.execute_script("window.same = true")
    collection.insert_one(documents.window(3, 1, support.window(support.now()), content=[HOSTILE], country=HOSTILE))
    browser.sees(f"{CELLS}.includes(arguments[0])", HOSTILE)
    browser.sees("document.querySelectorAll('img[src=x]').length === 0 && window.hacked === undefined")
    assert browser.execute_script("return window.same"), "the page was loaded anew"


@pytest.mark.usefixtures("collection")
def test_a_phone_shows_it_without_scrolling_sideways(view: View, browser: Any, picture: Callable[[str], None]) -> None:
    browser.size(390, 844, mobile=True)
    browser.get(f"{view.url}/cases")
    browser.reads("tweet 399", "total deaths")
    browser.sees("document.scrollingElement.scrollWidth <= window.innerWidth")
    picture("cases-filled-phone")


def test_a_server_that_went_away_is_said(view: View, browser: Any) -> None:
    (view.home / "servers.env").write_text("MILLRACE_MONGODB_URL=mongodb://127.0.0.1:1\n")
    browser.get(f"{view.url}/cases")
    browser.reads("MongoDB at 127.0.0.1:1")
