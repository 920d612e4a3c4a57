"""Stock candles: open, high, low, close, volume and VWAP per symbol and window, in several resolutions at once."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from millrace.durations import seconds
from millrace.errors import ConfigError
from millrace.kafka.parse import TEXT, TIME
from millrace.queries.candle_parts import PARTS, PRICE, SUM, SUMS, allowed, priced, spark_type
from millrace.queries.candle_parts import row as part_row
from millrace.queries.conditions import Rule
from millrace.queries.ohlc import finished, part_of, units, without_bad_prints
from millrace.queries.text import watermark_mark, watermarked

DAY = 86_400
Span = tuple[datetime, datetime]
KEY = ("symbol", "resolution", "window_start", "window_end")
CANDLE = (
    "symbol STRING, resolution STRING, window_start TIMESTAMP, window_end TIMESTAMP, open DECIMAL(24,10), "
    "high DECIMAL(24,10), low DECIMAL(24,10), close DECIMAL(24,10), volume DECIMAL(38,10), vwap DECIMAL(24,10), "
    "trades BIGINT, updates BIGINT"
)
COLUMNS = tuple(part.split()[0] for part in CANDLE.replace("(24,10)", "").replace("(38,10)", "").split(", "))


def resolution(text: str) -> str:
    """Return a resolution such as 1m, 5m, 1h as it is stored; raises ConfigError unless a UTC day has whole ones."""
    try:
        length = seconds(text)
    except ValueError as error:
        raise ConfigError(f"--resolution: {error}") from None
    if length < 1 or length % 1 or DAY % length:
        raise ConfigError(f"--resolution {text}: whole seconds that divide a day are wanted, such as 10s, 1m, 5m, 1h")
    for unit, name in ((DAY, "d"), (3600, "h"), (60, "m")):
        if length % unit == 0:
            return f"{length // unit:g}{name}"
    return f"{length:g}s"


def candles(parts: DataFrame, resolutions: Sequence[str] = ("1m",), lateness: str = "10 minutes") -> DataFrame:
    """Put the parts of candles together, in each of `resolutions`.

    Input: rows of `parts` or of `fold`. Output: COLUMNS (one row per symbol, resolution and window), start-stamped,
    windows aligned to the UTC day. Prices are in the quote currency. `open` is the price of the first trade, `close`
    of the last one or update, by (event time, sequence); `vwap` is HALF_UP to ten places, null without volume;
    `trades` counts what has volume, `updates` all that came: of two rows with one key the one with more is newer.
    """
    keep = [name for name in PARTS.names if name not in ("symbol", "event_time")]
    rows = _windows(watermarked(parts, lateness), resolutions, keep)
    sums = [F.sum(name).cast(spark_type(PARTS.field(name).type)).alias(name) for name in SUMS]
    ends = [F.min_by("open", "open_order").alias("open"), F.max_by("close", "close_order").alias("close")]
    tops = [F.max(name).alias(name) for name in ("high", "other_high")]
    bottoms = [F.min(name).alias(name) for name in ("low", "other_low")]
    made = rows.groupBy(*KEY).agg(*ends, *tops, *bottoms, *sums)  # all of fixed size, so Spark hashes and need not sort
    return made.mapInArrow(_finish, CANDLE).select(*COLUMNS)


def guarded(
    prints: DataFrame, share: Decimal, resolutions: Sequence[str] = ("1m",), lateness: str = "10 minutes"
) -> DataFrame:
    """Make the candles that `candles` makes, without bad prints: farther than `share` from their median.

    Input: rows of `prints`. The trades of each open window are state: an hour of a busy symbol is many.
    """
    rows = _windows(watermarked(prints, lateness), resolutions, ["print"])
    made = rows.groupBy(*KEY).agg(F.collect_list("print").alias("prints"))
    return made.mapInArrow(partial(_finish_guarded, share=share), CANDLE).select(*COLUMNS)


def flagged(candles: DataFrame, gaps: Sequence[Span]) -> DataFrame:
    """Add `complete`: false where one of `gaps`, in which the feed may have lost trades, touches the window.

    A window ends before its window_end, and a gap begins after its start. A candle that says it is incomplete stays so.
    """
    spans = json.dumps([{"start": start.isoformat(), "end": end.isoformat()} for start, end in gaps])
    known = F.from_json(F.lit(spans), "ARRAY<STRUCT<start: TIMESTAMP, end: TIMESTAMP>>")
    touched = F.exists(known, lambda gap: (F.col("window_start") <= gap["end"]) & (F.col("window_end") > gap["start"]))
    said = F.col("complete") if "complete" in candles.columns else F.lit(True)
    return candles.withColumn("complete", said & ~touched)


def _windows(rows: DataFrame, resolutions: Sequence[str], keep: Sequence[str]) -> DataFrame:
    """Repeat each row for its window in each resolution; `window_end` takes the watermark's mark over.

    Spark's own `window` makes one length a query; this reads once for all, and state goes when its window has closed.
    """
    each = F.explode(F.array(*(_window(name) for name in resolutions))).alias("window")
    spread = rows.select("symbol", "event_time", each, *keep)
    mark = watermark_mark(spread)
    window = [F.col("window.resolution").alias("resolution"), F.col("window.window_start").alias("window_start")]
    return spread.select("symbol", *window, F.col("window.window_end").alias("window_end", metadata=mark), *keep)


def _window(name: str) -> Column:
    length = round(seconds(name))
    start = F.floor(F.unix_seconds("event_time") / F.lit(length)) * F.lit(length)
    times = [F.timestamp_seconds(start).alias("window_start"), F.timestamp_seconds(start + length).alias("window_end")]
    return F.struct(F.lit(name).alias("resolution"), *times)


def prints(trades: DataFrame, symbols: Iterable[str]) -> DataFrame:
    """Return each trade of `symbols` for `guarded`: symbol, event_time, print (time, sequence, price, volume, rule)."""
    found = F.struct(
        F.unix_micros("event_time").alias("time"), "sequence", "price", "volume",
        *(allowed(change).alias(f"sets_{change}") for change in Rule._fields),
    )  # fmt: skip
    return trades.filter(priced(symbols)).select("symbol", "event_time", found.alias("print"))


def _finish(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Turn rows of sums into candles: a few per batch, whose exact quotient no Spark decimal can hold."""
    for batch in batches:
        yield _candles([{name: row[name] for name in KEY} | finished(row) for row in batch.to_pylist()])


def _finish_guarded(batches: Iterator[pa.RecordBatch], share: Decimal) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        rows = []
        for row in batch.to_pylist():
            kept = part_of(without_bad_prints(map(_print, row["prints"]), share))
            assert kept is not None  # the median itself is kept
            key = {name: row[name] for name in KEY}
            whole = dict.fromkeys(PARTS.names) | part_row(row["symbol"], kept) | {"updates": len(row["prints"])}
            rows.append(key | finished(whole))
        yield _candles(rows)


def _print(told: dict[str, Any]) -> tuple[int, int, int, int, Rule]:
    allowed = Rule(*(told[f"sets_{name}"] for name in Rule._fields))
    return told["time"], told["sequence"], units(told["price"]), units(told["volume"]), allowed


def _candles(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, schema=_CANDLE)


_CANDLE = pa.schema(
    [("symbol", TEXT), ("resolution", TEXT), ("window_start", TIME), ("window_end", TIME),
     *((name, PRICE) for name in ("open", "high", "low", "close")), ("volume", SUM), ("vwap", PRICE),
     ("trades", pa.int64()), ("updates", pa.int64())]
)  # fmt: skip
