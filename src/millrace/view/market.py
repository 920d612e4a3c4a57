"""What the page of candles shows: the newest candles of one symbol, by its key."""

import pandas as pd
from sqlalchemy import Engine, select

from millrace.durations import seconds
from millrace.sinks.sql import tables
from millrace.view import bounds

CANDLES = 120
PRICES = ("open", "high", "low", "close", "volume", "vwap")


def symbols(engine: Engine) -> list[str]:
    """Return the symbols that have candles."""
    return bounds.different(engine, tables.candles.c.symbol)


def resolutions(engine: Engine, symbol: str) -> list[str]:
    """Return the resolutions of a symbol's candles, the shortest first."""
    column = tables.candles.c.resolution
    return sorted(bounds.different(engine, column, tables.candles.c.symbol == symbol), key=seconds)


def candles(engine: Engine, symbol: str, resolution: str) -> pd.DataFrame:
    """Return the newest candles, oldest first: the columns of table candles, prices as floats for drawing."""
    rows = tables.candles
    query = select(rows).where(rows.c.symbol == symbol, rows.c.resolution == resolution)
    found = bounds.frame(engine, query.order_by(rows.c.window_start.desc()).limit(CANDLES))
    return found.astype(dict.fromkeys(PRICES, float)).iloc[::-1].reset_index(drop=True)


def drawn(candles: pd.DataFrame) -> pd.DataFrame:
    """Return candles with what `charts.candles` draws: left, middle and right, body_low and body_high, up."""
    length = candles["window_end"] - candles["window_start"]
    ends = candles[["open", "close"]]
    names = ("window_start", "open", "high", "low", "close", "volume", "trades", "complete")
    return candles[list(names)].assign(
        left=candles["window_start"] + 0.15 * length,
        middle=candles["window_start"] + 0.5 * length,
        right=candles["window_start"] + 0.85 * length,
        body_low=ends.min(axis=1),
        body_high=ends.max(axis=1),
        up=candles["close"] >= candles["open"],
    )
