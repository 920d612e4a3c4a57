"""Rows of every table, as jobs would have written them, for the page and its tests."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, insert

from millrace.sinks.sql import tables

MINUTE = timedelta(minutes=1)
HOSTILE = "<img src=x onerror=hacked=1> **b** :smile: [l](javascript:hacked=1) $x$ `c` </script>"
TAGS = ("cat", "café", "cafe", "猫", "🐈", "مرحبا", HOSTILE, "=1+1")
SYMBOLS = ("AAPL", "BINANCE:BTCUSDT")


def put(engine: Engine, name: str, *rows: dict[str, Any]) -> None:
    """Insert rows into a table."""
    with engine.begin() as connection:
        connection.execute(insert(tables.metadata.tables[name]), list(rows))


def window(source: str, start: datetime, length: timedelta = MINUTE) -> dict[str, Any]:
    """The columns of a window."""
    return {"source": source, "window_start": start, "window_end": start + length}


def fill(engine: Engine, last: datetime, count: int = 40) -> None:
    """Put rows into all tables, for `count` windows of which the newest starts at `last`."""
    starts = [last - n * MINUTE for n in range(count)]
    put(engine, "hashtag_counts", *(
        window("bluesky", start) | {"hashtag": tag, "posts": 1 + (7 * n + 3 * place) % 11}
        for n, start in enumerate(starts) for place, tag in enumerate(TAGS)
    ))  # fmt: skip
    put(engine, "hashtag_counts", window("mastodon", last, 5 * MINUTE) | {"hashtag": "slow", "posts": 5})
    for name, column, values in (("language_counts", "language", ("en", "de", "und")),
                                 ("author_counts", "author", ("ann", HOSTILE[:60]))):  # fmt: skip
        put(engine, name, *(
            window("mastodon", start) | {column: value, "posts": 3 + place}
            for start in starts for place, value in enumerate(values)
        ))  # fmt: skip
    put(engine, "post_counts", *(
        window("mastodon", last - n * MINUTE / 6, MINUTE / 6) | {"posts": 5 + n % 7} for n in range(count)
    ))  # fmt: skip
    put(engine, "dashboard_windows", *(
        window("bluesky", start) | {"posts": 30 + n % 9, "authors": 20 + n % 5, "bots": 1, "average_score": 1.5,
                                    "top_language": "en"} for n, start in enumerate(starts)
    ))  # fmt: skip
    put(engine, "engagement_windows", *(
        window("mastodon", start) | {"readings": 9, "average_score": 1.5 + n % 3, "max_score": 9.0 + n % 4}
        for n, start in enumerate(starts)
    ))  # fmt: skip
    put(engine, "post_engagement", *(
        {"id": f"https://example.org/{n}", "source": "mastodon", "author": HOSTILE[:60] if n == 9 else f"author{n}",
         "language": "en", "event_time": last, "replies": n, "reblogs": n, "favourites": n,
         "engagement_score": 6.0 * n, "deleted": False, "observed_at": last} for n in range(10)
    ))  # fmt: skip
    put(engine, "candles", *(
        candle(symbol, start, 100 + (n * 7) % 13, complete=n != 2) for symbol in SYMBOLS
        for n, start in enumerate(starts)
    ))  # fmt: skip
    put(engine, "gaps", {"source": "finnhub", "gap_start": last - MINUTE, "gap_end": last, "reason": HOSTILE})
    put(engine, "progress", {"job": "candles", "watermark": last - 10 * MINUTE, "batch": 7, "updated_at": last})


def candle(symbol: str, start: datetime, open_: float, *, complete: bool = True) -> dict[str, Any]:
    """A candle of a minute."""
    close = open_ + (start.minute % 5) - 2
    return {"symbol": symbol, "resolution": "1m", "window_start": start, "window_end": start + MINUTE, "open": open_,
            "high": max(open_, close) + 2, "low": min(open_, close) - 2, "close": close,
            "volume": 10 + start.minute % 7, "vwap": open_, "trades": 12, "complete": complete,
            "updates": 12}  # fmt: skip
