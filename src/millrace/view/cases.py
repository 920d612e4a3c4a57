"""What the page of cases shows: the newest windows of tweets in MongoDB, by the index of windows, and their numbers."""

from datetime import UTC, date, datetime
from typing import Any

import pandas as pd

from millrace.kafka.results import TWEET_CASES
from millrace.names import CASE_NUMBERS
from millrace.sinks.mongodb import reader

WINDOWS = 90  # half an hour of them
TEXTS = 20
SHOWN = ("window_start", "tweets", "hashtags", "cut")


def newest(url: str) -> dict[str, Any] | None:
    """Return the document of the newest window, None where there is none; raises what the reader does."""
    return next(iter(reader.newest(url, TWEET_CASES, 1)), None)


def windows(url: str, document: dict[str, Any]) -> pd.DataFrame:
    """Return SHOWN and window_end of the newest windows of a document's source and length, newest first."""
    found = reader.newest(url, TWEET_CASES, WINDOWS, without=["content"])
    rows = pd.DataFrame([each for each in found if _kind(each) == _kind(document)], columns=[*SHOWN, "window_end"])
    return rows.assign(hashtags=[tagged(each) for each in rows["hashtags"]])


def full(rows: pd.DataFrame) -> pd.DataFrame:
    """Return those of `windows` that are full: a later one has begun at their end or after."""
    return pd.DataFrame(rows[rows["window_end"] <= rows["window_start"].max()])


def tagged(hashtags: list[dict[str, Any]]) -> str:
    """Return hashtags with the tweets that carry them: `#cat 3  #猫 1`."""
    return "  ".join(f"#{each['hashtag']} {each['tweets']}" for each in hashtags)


def numbers(document: dict[str, Any]) -> pd.DataFrame:
    """Return a row for each case number of a document: `number`, and its `count`, missing where it is not known."""
    names = [name.removesuffix("_count").replace("_", " ") for name in CASE_NUMBERS]
    return pd.DataFrame({"number": names, "count": pd.array([document[name] for name in CASE_NUMBERS], dtype="Int64")})


def age(document: dict[str, Any], today: date | None = None) -> int:
    """Return of how many days ago the case numbers of a document are."""
    return ((today or datetime.now(UTC).date()) - date.fromisoformat(document["as_of"])).days


def texts(document: dict[str, Any]) -> pd.DataFrame:
    """Return the last TEXTS texts of a document, the newest first."""
    return pd.DataFrame({"text": document["content"][: -TEXTS - 1 : -1]})


def _kind(document: dict[str, Any]) -> tuple[Any, ...]:
    return document["source"], document["window_end"] - document["window_start"]
