"""`millrace view` in a browser: every page, live, on a phone, and with hostile text in the tables."""

from collections.abc import Callable
from typing import Any

import pytest
from selenium.webdriver import Keys
from sqlalchemy import Engine, delete, update
from tests import stored, support
from tests.browser.page import FITS, PAGES, View, visit
from tests.stored import HOSTILE, MINUTE

from millrace.sinks.sql import database, tables

MARKS = """[...document.querySelectorAll('[data-testid=stVegaLiteChart] svg path')].filter(
    each => [each.getAttribute('fill'), each.getAttribute('stroke')].includes('#2a87d0')).length"""
CELLS = "[...document.querySelectorAll('[data-testid=stDataFrame] td')].map(cell => cell.textContent)"
DRAWN = "[...document.querySelectorAll('.mark-rect path')].map(each => each.getAttribute('d')).join()"
FILLED_BY = {
    "candles": "millrace run candles",
    "hashtags": "millrace run hashtags",
    "posts": "millrace run counts",
    "minutes": "millrace run dashboard",
    "languages": "millrace run languages",
    "authors": "millrace run authors",
    "engagement": "millrace run engagement",
    "cases": "millrace run cases",
    "sentiment": "millrace run sentiment",
    "replication": "millrace run cdc",
    "health": "millrace run hashtags",
}


def test_an_empty_page_says_what_fills_it(view: View, browser: Any, picture: Callable[[str], None]) -> None:
    browser.get(view.url)
    for name, command in FILLED_BY.items():
        visit(browser, name)
        browser.reads(command)
    picture("empty")
    assert browser.complaints() == []


@pytest.mark.usefixtures("writer")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages(view: View, browser: Any, picture: Callable[[str], None], scheme: str) -> None:
    """Each shows its rows, asks nobody but us, and leaves no error on the console."""
    browser.media(scheme)
    browser.get(view.url)
    for name, words in PAGES.items():
        visit(browser, name)
        browser.reads(*words)
        if name not in ("hashtags", "cases", "sentiment", "replication", "health"):
            browser.sees(MARKS)
        picture(f"{name}-{scheme}")
    background = browser.execute_script("return getComputedStyle(document.querySelector('.stApp')).backgroundColor")
    channels = [int(each) for each in background.strip("rgba()").split(",")[:3]]
    assert (max(channels) < 100) == (scheme == "dark")
    assert browser.strangers() == set()
    assert browser.complaints() == []


def test_rows_appear_while_they_are_written(view: View, browser: Any, writer: Engine) -> None:
    browser.get(view.url)
    visit(browser, "hashtags")
    browser.reads("café")
    browser.execute_script("window.same = true")
    start = support.window(support.now()) + MINUTE
    stored.put(writer, "hashtag_counts", *(stored.window("bluesky", start + n * MINUTE)
                                           | {"hashtag": "brandnew", "posts": 977 + n} for n in range(2)))  # fmt: skip
    browser.reads("brandnew", "977", deadline=15)
    assert browser.execute_script("return window.same"), "the page was loaded anew"
    visit(browser, "candles")
    browser.reads("AAPL", "incomplete")
    shown = browser.sees("document.querySelector('[data-testid=stMetricValue]').textContent")
    with writer.begin() as connection:
        connection.execute(update(tables.candles).values(close=4321))
    browser.reads("4,321", deadline=15)
    assert shown != "4,321"
    assert browser.complaints() == []


@pytest.mark.usefixtures("writer")
def test_the_address_without_a_page_shows_what_is_filled(view: View, browser: Any) -> None:
    """And sends nobody on: that took the place of a click which came meanwhile, and led Back to where one was."""
    browser.get(view.url)
    browser.reads("AAPL", "incomplete")
    assert browser.title == "Candles - millrace"
    visit(browser, "hashtags")
    browser.reads("café")
    browser.back()
    browser.reads("AAPL", "incomplete")
    assert browser.execute_script("return location.pathname") == "/"
    assert browser.complaints() == []


def test_whoever_comes_before_the_rows_is_shown_them(view: View, browser: Any) -> None:
    """The demo opens the page before anything is counted; what is filled first is shown, and stays."""
    browser.get(view.url)
    browser.reads(FILLED_BY["candles"])
    tables.create(view.store)
    writer = database.connect(view.store)
    start = support.window(support.now())
    stored.put(writer, "hashtag_counts", stored.window("bluesky", start) | {"hashtag": "early", "posts": 9})
    browser.reads("early")
    browser.sees("document.querySelector('h2')?.textContent.trim() === 'Hashtags'")
    stored.put(writer, "candles", stored.candle("AAPL", start, 100))
    with writer.begin() as connection:  # which draws all anew
        connection.exec_driver_sql("CREATE TABLE sentiment (id TEXT PRIMARY KEY, label TEXT)")
    writer.dispose()
    browser.sees("[...document.querySelectorAll('a')].some(each => each.textContent.trim() === 'sentiment')")
    browser.reads("early")
    assert browser.execute_script("return document.querySelector('h2').textContent.trim()") == "Hashtags"
    assert browser.complaints() == []


@pytest.mark.usefixtures("writer")
def test_hostile_text_is_text(view: View, browser: Any) -> None:
    for name, shown in (("hashtags", HOSTILE), ("authors", HOSTILE[:60]), ("engagement", HOSTILE[:60]),
                        ("health", HOSTILE)):  # fmt: skip
        browser.get(f"{view.url}/{name}")
        browser.sees(f"{CELLS}.includes(arguments[0])", shown)
        browser.sees("document.querySelectorAll('img[src=x]').length === 0 && window.hacked === undefined")


def test_hostile_choices_are_text(view: View, browser: Any, writer: Engine) -> None:
    """Symbols and sources are chosen from lists, and stand in titles."""
    hostile = "Z **b** :smile: <i>x</i> $x$ [l](u)"
    stored.put(writer, "candles", stored.candle(hostile, support.window(support.now()), 100) | {"symbol": hostile})
    browser.get(f"{view.url}/candles")
    browser.reads("AAPL")
    _choose(browser, hostile)
    browser.sees("[...document.querySelectorAll('[data-testid=stMetricLabel]')].some("
                 "each => each.textContent.includes(arguments[0]))", hostile)  # fmt: skip
    assert (
        browser.execute_script("return document.querySelector('[data-testid=stMetricLabel] :is(a, b, strong, i)')")
        is None
    )


def _choose(browser: Any, option: str) -> None:
    """Choose in the first list by keyboard, as somebody without a mouse does."""
    field = browser.sees("document.querySelector('[data-testid=stSelectbox] input')")
    field.click()
    field.send_keys(option)
    browser.sees(
        "[...document.querySelectorAll('[role=option]')].some(each => each.textContent === arguments[0])", option
    )
    field.send_keys(Keys.ENTER)


FLICKER = """
const charts = '[data-testid=stVegaLiteChart]'
window.flicker = {removed: 0, blank: 0, pale: 0, frames: 0}
new MutationObserver(changes => changes.forEach(change => change.removedNodes.forEach(node => {
    if (node.nodeType === 1 && (node.matches(`${charts}, ${charts} svg, svg.marks`) || node.querySelector(charts)))
        flicker.removed += 1
}))).observe(document.body, {childList: true, subtree: true})
const opacity = each => each ? getComputedStyle(each).opacity * opacity(each.parentElement) : 1
const look = () => {
    const found = [...document.querySelectorAll(`${charts} svg`)]
    flicker.frames += 1
    flicker.blank += found.length !== 2 || found.some(each => !each.querySelector('.mark-rect path, .mark-rule line'))
    flicker.pale += found.some(each => opacity(each) < 1)
    requestAnimationFrame(look)
}
look()"""


def test_charts_move_and_do_not_flicker(view: View, browser: Any, writer: Engine) -> None:
    """Over refreshes with new rows no chart leaves the document, is empty or pale in any frame."""
    browser.get(view.url)
    visit(browser, "candles")
    browser.reads("AAPL", "incomplete")
    browser.sees("document.querySelectorAll('[data-testid=stVegaLiteChart] svg').length === 2")
    browser.sees(MARKS)
    browser.execute_script(FLICKER)
    before = browser.execute_script(f"return {DRAWN}")
    for close in (4321, 4322, 4323):
        with writer.begin() as connection:
            connection.execute(update(tables.candles).values(close=close, high=close))
        browser.reads(f"{close:,}", deadline=30)
    assert browser.execute_script(f"return {DRAWN}") != before
    seen = browser.execute_script("return flicker")
    assert seen.pop("frames") > 10
    assert seen == {"removed": 0, "blank": 0, "pale": 0}


@pytest.mark.usefixtures("writer")
def test_a_phone_shows_it_without_scrolling_sideways(view: View, browser: Any, picture: Callable[[str], None]) -> None:
    browser.size(390, 844, mobile=True)
    for name, words in PAGES.items():
        browser.get(f"{view.url}/{name}")
        browser.reads(*words)
        browser.sees(FITS)
        picture(f"{name}-phone")


def test_a_page_for_a_table_appears_with_it(view: View, browser: Any, writer: Engine) -> None:
    browser.get(f"{view.url}/languages")
    browser.reads("und")
    with writer.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE sentiment (id TEXT PRIMARY KEY, label TEXT)")
        connection.exec_driver_sql("INSERT INTO sentiment VALUES ('a', 'glad')")
    browser.sees("[...document.querySelectorAll('a')].some(each => each.textContent.trim() === 'sentiment')")
    browser.get(f"{view.url}/table-sentiment")
    browser.reads("glad")


def test_a_table_may_be_named_as_a_page(view: View, browser: Any, writer: Engine) -> None:
    with writer.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE posts (id TEXT PRIMARY KEY, label TEXT)")
        connection.exec_driver_sql("INSERT INTO posts VALUES ('a', 'foreign')")
    browser.get(f"{view.url}/table-posts")
    browser.reads("foreign")
    browser.get(f"{view.url}/posts")
    browser.reads("Posts a minute")


@pytest.mark.usefixtures("writer")
def test_it_is_localhost_too(view: View, browser: Any) -> None:
    browser.get(view.url.replace("127.0.0.1", "localhost"))
    browser.reads("AAPL")


def test_windows_that_are_not_of_a_minute_are_said(view: View, browser: Any, writer: Engine) -> None:
    start = support.window(support.now())
    facts = {"posts": 1, "authors": 1, "bots": 0, "average_score": 1.0}
    with writer.begin() as connection:
        connection.execute(delete(tables.dashboard_windows))
    stored.put(writer, "dashboard_windows", stored.window("bluesky", start, 5 * MINUTE) | facts)
    browser.get(f"{view.url}/minutes")
    browser.reads("--window 1m")


def test_a_store_that_goes_away_is_said_and_comes_back(view: View, browser: Any, writer: Engine) -> None:
    browser.get(f"{view.url}/languages")
    browser.reads("und")
    with writer.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE language_counts RENAME TO away")
    browser.reads("These commands fill it")
    with writer.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO language_counts")
    browser.reads("und")
