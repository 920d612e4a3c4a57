"""The page of sentiment in a browser: labels in a real ClickHouse, live, light, dark, on a phone, and hostile ones."""

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import pytest
from tests.browser.page import FITS, View, visit
from tests.stored import HOSTILE

from millrace import config, stack
from millrace.config import Settings
from millrace.kafka.results import SENTIMENT
from millrace.sinks.clickhouse import client, tables

CELLS = "[...document.querySelectorAll('[data-testid=stDataFrame] td')].map(cell => cell.textContent)"
AREAS = (
    "[...document.querySelectorAll('.mark-rect path')].map(each => [each.getAttribute('fill'), each.getBBox().height])"
)
# Of ten posts of each of twelve minutes five are glad, three sad, one has no feeling and one no label.
FILL = """INSERT INTO mastodon_sentiment__rows (post_id, mastodon_text, hashtags, language, model, sentiment, error,
    score, event_time, labelled_at, revision)
SELECT toString(number), concat('text ', toString(number)), 'café', 'en', 'double',
    multiIf(number % 10 < 5, 'positive', number % 10 < 8, 'negative', number % 10 = 8, 'neutral', NULL) AS label,
    if(label IS NULL, 'timeout: 30 s', NULL), 0.5,
    now64(6) - INTERVAL 6 * number SECOND AS written, written + INTERVAL 4 SECOND, 2
FROM numbers(120)"""
HOSTILE_POST = """INSERT INTO mastodon_sentiment__rows (post_id, mastodon_text, hashtags, sentiment, event_time,
    revision)
SELECT 'hostile', {text:String}, {text:String}, 'negative', now64(6), 2"""


@pytest.fixture
def labels(view: View) -> Iterator[str]:
    """The ClickHouse of a home whose job has labelled posts of twelve minutes."""
    url = Settings(home=view.home).clickhouse
    tables.create(url, SENTIMENT["mastodon"])
    client.connect(url).command(FILL)
    (view.home / "run").mkdir(exist_ok=True)
    (view.home / "run" / "sentiment.json").write_text('{"job": "sentiment"}')
    yield url
    stack.down(config.load(home=view.home), ["clickhouse"])


@pytest.mark.usefixtures("labels")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_shares_hashtags_and_posts(view: View, browser: Any, picture: Callable[[str], None], scheme: str) -> None:
    browser.media(scheme)
    browser.get(view.url)
    visit(browser, "sentiment")
    browser.size(1280, 1900)
    browser.reads("model lag", "4 s", "without a label", "12", "timeout", "café", "text 0")
    browser.sees(f"{AREAS}.length >= 36")
    heights: dict[str, list[float]] = {}
    for colour, height in browser.execute_script(f"return {AREAS}"):
        heights.setdefault(colour, []).append(height)
    glad, none, sad = (median(heights[colour]) for colour in ("#2a87d0", "#9aa5b1", "#d9660a"))
    assert glad > sad > none > 0  # as the shares are
    picture(f"sentiment-{scheme}")
    assert browser.strangers() == set()
    assert browser.complaints() == []


def test_it_is_live_and_text_is_text(view: View, browser: Any, labels: str) -> None:
    browser.get(f"{view.url}/sentiment")
    browser.reads("text 0")
    browser.execute_script("window.same = true")
    client.connect(labels).command(HOSTILE_POST, parameters={"text": HOSTILE})
    browser.sees(f"{CELLS}.includes(arguments[0])", HOSTILE)
    browser.sees("document.querySelectorAll('img[src=x]').length === 0 && window.hacked === undefined")
    assert browser.execute_script("return window.same"), "the page was loaded anew"


@pytest.mark.usefixtures("labels")
def test_a_phone_shows_it_without_scrolling_sideways(view: View, browser: Any, picture: Callable[[str], None]) -> None:
    browser.size(390, 844, mobile=True)
    browser.get(f"{view.url}/sentiment")
    browser.reads("positive", "timeout")
    browser.sees(FITS)
    picture("sentiment-phone")
