"""Documents of twitter_collection as job cases writes them, for tests of what shows them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from millrace.names import CASE_NUMBERS

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
LENGTH = timedelta(seconds=20)


def window(number: int, tweets: int = 5, start: datetime = NOON, **more: Any) -> dict[str, Any]:
    """Return the document of window `number` after `start`; the last of the case numbers is not known."""
    began = start + number * LENGTH
    name = f"{began:%Y%m%d%H%M%S}"
    return {
        "_id": name,
        "hash": name,
        "source": "tweets",
        "content": [f"tweet {n}" for n in range(tweets)],
        "timestamp": f"{began + LENGTH:%Y-%m-%dT%H:%M:%SZ}",
        **{each: 1_000_000 + n for n, each in enumerate(CASE_NUMBERS[:-1])},
        CASE_NUMBERS[-1]: None,
        "country": "World",
        "as_of": "2024-04-13",
        "source_url": "https://www.worldometers.info/coronavirus/",
        "window_start": began,
        "window_end": began + LENGTH,
        "tweets": tweets,
        "cut": 0,
        "hashtags": [{"hashtag": "cat", "tweets": 2}, {"hashtag": "猫", "tweets": 1}],
        **more,
    }
