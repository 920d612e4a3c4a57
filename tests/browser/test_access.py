"""The page by keyboard, for eyes that need contrast, and for readers of the screen."""

from typing import Any

import pytest
from selenium.webdriver import ActionChains, Keys
from sqlalchemy import Engine
from tests import stored, support
from tests.browser.page import PAGES, View, visit
from tests.stored import MINUTE

FOCUSED = """(each => each.closest('[data-testid=stSelectbox]')?.querySelector('label').textContent.trim()
    || each.textContent.trim())(document.activeElement)"""
DESCRIBED = "[data-testid=stVegaLiteChart], [data-testid=stDataFrame] [aria-label]"
CONTRASTS = """() => {
    const context = document.createElement('canvas').getContext('2d', {willReadFrequently: true})
    const parts = color => {
        context.clearRect(0, 0, 1, 1)
        context.fillStyle = color
        context.fillRect(0, 0, 1, 1)
        const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data
        return [r, g, b, a / 255]
    }
    const over = (top, below) => [0, 1, 2].map(n => top[n] * top[3] + below[n] * (1 - top[3]))
    const light = color => [0.2126, 0.7152, 0.0722].reduce((sum, weight, n) => {
        const value = color[n] / 255
        return sum + weight * (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    }, 0)
    const ancestors = each => each ? [each, ...ancestors(each.parentElement)] : []
    const found = {}
    for (const each of document.querySelectorAll('body *')) {
        const words = [...each.childNodes].filter(node => node.nodeType === 3).map(node => node.textContent)
        const text = words.join('').trim()
        const visible = each.checkVisibility({opacityProperty: true, visibilityProperty: true})
        if (!text || !visible || each.closest('script, style, canvas')) continue
        const style = getComputedStyle(each), svg = each instanceof SVGElement
        const opacity = ancestors(each).reduce((product, one) => product * getComputedStyle(one).opacity, 1)
        const back = ancestors(each).map(one => parts(getComputedStyle(one).backgroundColor)).reverse()
            .reduce((below, top) => over(top, below), [255, 255, 255])
        const [r, g, b, a] = parts(svg ? style.fill : style.color)
        const pair = [light(over([r, g, b, a * opacity], back)), light(back)].sort((x, y) => y - x)
        found[text.slice(0, 40)] = (pair[0] + 0.05) / (pair[1] + 0.05)
    }
    return found
}"""
READ = {
    "candles": ("incomplete ones pale", "Candles of AAPL"),
    "hashtags": ("newest full window", "Trending hashtags"),
    "posts": ("up to", "Posts a minute"),
    "engagement": ("Score = ", "Engagement score"),
    "health": ("Jobs", "What each job last told"),
}


@pytest.mark.usefixtures("writer")
def test_pages_are_reached_by_keyboard(view: View, browser: Any) -> None:
    browser.get(f"{view.url}/candles")
    browser.reads("AAPL")
    _tab(browser, until="Languages")
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    browser.sees("location.pathname === '/languages'")
    browser.reads("share")


def _tab(browser: Any, until: str) -> list[str]:
    """Press Tab until what has the focus is called so; return what had it."""
    passed: list[str] = []
    while until not in passed and len(passed) < 40:
        ActionChains(browser).send_keys(Keys.TAB).perform()
        passed.append(browser.execute_script(f"return {FOCUSED}"))
    assert until in passed, passed
    return passed


def test_controls_are_reached_by_keyboard_and_named(view: View, browser: Any, writer: Engine) -> None:
    candle = stored.candle("AAPL", support.window(support.now()), 100)
    stored.put(writer, "candles", candle | {"resolution": "5m", "window_end": candle["window_start"] + 5 * MINUTE})
    browser.get(view.url)
    visit(browser, "candles")
    browser.reads("incomplete", "resolution")
    passed = _tab(browser, until="resolution")
    titles = [name.title() for name in PAGES]
    assert [name for name in passed if name in titles] == titles
    assert passed.index("symbol") < passed.index("resolution")


@pytest.mark.usefixtures("writer")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_that_is_shown_can_be_read(view: View, browser: Any, scheme: str) -> None:
    """By eyes, for which small text needs 4.5:1 (WCAG 2.2, 1.4.3), and by readers of the screen."""
    browser.media(scheme)
    browser.get(view.url)
    assert browser.execute_script("return document.documentElement.lang") == "en"
    for name, (words, label) in READ.items():
        visit(browser, name)
        browser.reads(words)
        browser.sees(f"Object.keys(({CONTRASTS})()).length > {len(PAGES)}")
        browser.sees(f"Object.entries(({CONTRASTS})()).filter(([, ratio]) => ratio < 4.5).join() === ''")
        browser.sees(f"[...document.querySelectorAll({DESCRIBED!r})].some("
                     "each => (each.ariaLabel ?? '').includes(arguments[0]))", label)  # fmt: skip
        browser.sees("document.title === arguments[0]", f"{name.title()} - millrace")
