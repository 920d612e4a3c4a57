"""What the tests of Superset share: rows of the last forty minutes, and what a browser shows of them."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from tests.support import MINUTE, now, wait, window

from millrace.kafka.results import SENTIMENT
from millrace.sinks.sql import database, tables
from millrace.sinks.sql import writer as sql

MINUTES = 40
SYMBOLS = {"AAPL": Decimal(240), "BINANCE:BTCUSDT": Decimal(97_000), "OANDA:EUR_USD": Decimal("1.08")}
LANGUAGES = {"en": 50, "ja": 20, "de": 12, "pt": 8, "und": 5}
TAGS = {"news": 30, "café": 12, "猫": 9, "<b>bold</b>": 7, "rust": 5, "monday": 3}
TEN_SECONDS = timedelta(seconds=10)
KNOWN = (
    "gateway.scarf.sh",  # the page wants to tell a third party, which its policy forbids
    "/colors?mark_updated=false",  # it would note the colours of labels, for which a viewer has no right
    "native_filters_key",  # what it throws then
)
CHOICE = (  # what the page writes into its address for somebody who chooses a symbol
    "?native_filters=(NATIVE_FILTER-symbol:(id:NATIVE_FILTER-symbol,filterState:(value:!('{symbol}')),"
    "extraFormData:(filters:!((col:symbol,op:IN,val:!('{symbol}'))))))"
)
CHART = '[data-test="chart-grid-component"]'
WAITING = '[data-test="loading-indicator"], .loading'
DRAWN = f"""
return [...document.querySelectorAll(arguments[0])].filter(each => !each.querySelector('{WAITING}')
    && each.querySelector('canvas, tbody td, .header-line')).length"""
SETTLED = f"""
const charts = [...document.querySelectorAll(arguments[0])]
return charts.every(each => each.querySelector('[data-test="slice-container"]') && !each.querySelector('{WAITING}'))"""
ERRORS = """
return [...document.querySelectorAll('[role="alert"]')].map(each => each.innerText).filter(Boolean)"""
FIND = (
    "const found = [...document.querySelectorAll(arguments[0])].find(each => each.innerText.startsWith(arguments[1]));"
)
TEXT = FIND + "return found ? found.innerText : ''"
CANVAS = FIND + "return found.querySelector('canvas')"
ROWS = FIND + "return [...found.querySelectorAll('tbody tr')].map(row => [...row.cells].map(cell => cell.innerText))"
CALL = """
const [method, path, body, done] = arguments
const headers = {'Content-Type': 'application/json', 'X-CSRFToken': document.querySelector('#csrf_token').value}
fetch(path, {method, body, headers}).then(answer => done(answer.status), done)"""
ZONE = "return Intl.DateTimeFormat().resolvedOptions().timeZone"
NOTE = """
const write = CanvasRenderingContext2D.prototype.fillText
window.written = []
CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
    window.written.push(text)
    return write.call(this, text, ...rest)
}"""
TIP = """
return [...document.querySelectorAll('.echarts-tooltip')].filter(each => each.style.visibility != 'hidden'
    && each.style.opacity != '0').map(each => each.innerText).find(Boolean) || ''"""


def store(url: str, name: str, rows: list[dict[str, Any]]) -> None:
    """Upsert rows as the jobs do."""
    engine = database.connect(url)
    try:
        sql.store(engine, tables.metadata.tables[name], pa.Table.from_pylist(rows))
    finally:
        engine.dispose()


def fill(url: str) -> None:
    """Write forty minutes of every table that charts read, up to the minute that has begun."""
    chance, last = random.Random(7), window(now())
    starts = [last - MINUTE * n for n in reversed(range(MINUTES))]
    store(url, "candles", [row for symbol in SYMBOLS for row in candles(symbol, starts, chance)])
    for name, key, weights in (
        ("language_counts", "language", LANGUAGES),
        ("hashtag_counts", "hashtag", TAGS),
        ("author_counts", "author", {f"{name}@example.social": n for n, name in enumerate(("ann", "bo", "cy"), 2)}),
    ):
        store(url, name, [{**at(start), key: text, "posts": 1 + chance.randrange(weight)} for start in starts
                          for text, weight in weights.items()])  # fmt: skip
    tens = [start + TEN_SECONDS * n for start in starts for n in range(6)]
    store(url, "post_counts", [{**at(start, TEN_SECONDS), "posts": 20 + chance.randrange(30)} for start in tens])
    store(url, "dashboard_windows", [minute(start, chance) for start in starts])
    scores = [{**at(start), "readings": 9, "average_score": 2 + chance.random(), "max_score": 40.0} for start in starts]
    store(url, "engagement_windows", scores)
    store(url, "post_engagement", [reading(n, start) for n, start in enumerate(starts)])
    for result in SENTIMENT.values():
        store(url, result.name, [labelled(start) for start in starts])


def labelled(start: datetime) -> dict[str, Any]:
    return {
        **{"m_id": Decimal(start.minute), "created_at": start.isoformat(), "username": "ann", "bot": False},
        **{
            "mastodon_text": "lovely",
            "sentiment": "positive",
            "post_id": f"https://a.example/{start:%H%M}",
            "score": 0.9,
        },
        **{
            "language": "en",
            "model": "vader",
            "prompt_version": "1",
            "labelled_at": start,
            "latency_ms": 1,
            "tokens": 1,
        },
        **{"error": "", "event_time": start, "hashtags": "cat", "revision": 1},
    }


def at(start: datetime, length: timedelta = MINUTE) -> dict[str, Any]:
    return {"source": "mastodon", "window_start": start, "window_end": start + length}


def candles(symbol: str, starts: list[datetime], chance: random.Random) -> Iterator[dict[str, Any]]:
    """One candle a minute, the tenth and the eleventh incomplete."""
    price = SYMBOLS[symbol]
    for number, start in enumerate(starts):
        close = price * (1 + Decimal(chance.randrange(-20, 21)) / 10_000)
        yield candle(symbol, start, price, close, complete=number not in (10, 11))
        price = close


def candle(symbol: str, start: datetime, first: Decimal, close: Decimal, *, complete: bool = True) -> dict[str, Any]:
    high, low = max(first, close) * Decimal("1.0004"), min(first, close) * Decimal("0.9996")
    prices = {"open": first, "high": high, "low": low, "close": close, "vwap": (high + low) / 2}
    return {
        "symbol": symbol, "resolution": "1m", "window_start": start, "window_end": start + MINUTE,
        **{name: round(price, 10) for name, price in prices.items()},
        "volume": Decimal("12.5"), "trades": 30, "complete": complete, "updates": 30,
    }  # fmt: skip


def minute(start: datetime, chance: random.Random) -> dict[str, Any]:
    known = {"posts": 200, "authors": 60 + chance.randrange(40), "bots": 10 + chance.randrange(10)}
    return {**at(start), **known, "average_score": 2.5, "top_language": "en"}


def reading(number: int, start: datetime) -> dict[str, Any]:
    known = {"language": "en", "replies": 1, "reblogs": 2, "favourites": number, "engagement_score": 7.0 + number}
    times = {"created_at": start, "event_time": start, "observed_at": start}
    author = "ann@example.social"
    return {"id": f"https://example.social/{number}", "source": "mastodon", "author": author, **known, **times,
            "deleted": False}  # fmt: skip


class Page:
    """A browser that is logged in to Superset, and what its user sees."""

    def __init__(self, url: str, driver: Any) -> None:
        self.url, self.driver = url, driver
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": NOTE})

    @contextmanager
    def in_zone(self, zone: str) -> Iterator[None]:
        """Put the browser's clock into a time zone for as long as the block runs."""
        self.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": zone})
        try:
            assert self.driver.execute_script(ZONE) == zone
            yield
        finally:
            self.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})

    def log_in(self, name: str, password: str) -> None:
        self.driver.get(f"{self.url}/login/")
        wait(lambda: self.find("#username"), "page to log in")
        self.find("#username")[0].send_keys(name)
        self.find("#password")[0].send_keys(password, Keys.ENTER)
        wait(lambda: "/login" not in self.driver.current_url, f"login of {name}")

    def show(self, dashboard: str, charts: int, chosen: str = "") -> None:
        """Open a dashboard, with a choice of its filters, and return once its charts are there, drawn or not."""
        self.driver.get(f"{self.url}/superset/dashboard/{dashboard}/{chosen}")
        wait(lambda: len(self.find(CHART)) == charts, f"{charts} charts of {dashboard}")

    def open(self, dashboard: str, charts: int, chosen: str = "") -> None:
        """Open a dashboard and return once each of its charts is drawn; fail where one shows an error."""
        self.show(dashboard, charts, chosen)
        self.fills(charts)

    def fills(self, charts: int) -> None:
        """Wait until each of its charts is drawn; fail where one shows an error."""
        wait(lambda: self.drawn() == charts or self.errors(), "data in all charts")
        found = self.errors()
        assert not found, found
        self.still()

    def still(self) -> None:
        """Wait until nothing moves any more: curves are drawn little by little."""
        seen = [b""]

        def same() -> bool:
            seen.append(self.driver.get_screenshot_as_png())
            return seen[-1] == seen[-2]

        wait(same, "page at rest")

    def save(self, name: str) -> None:
        self.still()
        self.driver.save(name)

    def find(self, selector: str) -> list[Any]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def drawn(self) -> int:
        """Count the charts that show something."""
        return int(self.driver.execute_script(DRAWN, CHART))

    def errors(self) -> list[str]:
        """Return what charts say instead of data."""
        return list(self.driver.execute_script(ERRORS))

    def text(self, chart: str) -> str:
        """Return the text of the chart of that title."""
        return str(self.driver.execute_script(TEXT, CHART, chart))

    def written(self) -> list[str]:
        """Return what charts have written onto their canvases, the labels of axes among it."""
        return [str(text) for text in self.driver.execute_script("return window.written")]

    def settled(self) -> bool:
        """Whether no chart waits for data any more."""
        return bool(self.driver.execute_script(SETTLED, CHART))

    def rows(self, chart: str) -> list[list[str]]:
        """Return the cells of a table."""
        return list(self.driver.execute_script(ROWS, CHART, chart))

    def tips(self, chart: str) -> list[str]:
        """Move the pointer across a curve and return what it was told at each place."""
        canvas = self.driver.execute_script(CANVAS, CHART, chart)
        found: list[str] = []

        def told(offset: int) -> str:
            for step in (offset - 2, offset):  # it may have been drawn anew under a pointer at rest
                ActionChains(self.driver).move_to_element_with_offset(canvas, step, 0).perform()
            found.append(str(self.driver.execute_script(TIP)))
            return found[-1]

        for part in (-3, -1, 1, 3):
            wait(lambda offset=canvas.size["width"] * part // 10: told(offset), f"a tip of {chart}")
        return [tip for tip in found if tip]

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> int:
        """Return the status that the user gets for a request of the page's."""
        sent = None if body is None else json.dumps(body)
        return int(self.driver.execute_async_script(CALL, method, path, sent))

    def complaints(self) -> list[str]:
        """Return what the browser complained of since it was asked last, but for what Superset does to every viewer."""
        return [each for each in self.driver.complaints() if not any(known in each for known in KNOWN)]
