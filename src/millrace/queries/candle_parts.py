"""Trades folded into parts of candles, which can be put together in any order: in Spark SQL, and batch by batch."""

from collections.abc import Iterable, Sequence
from functools import partial
from math import gcd
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from millrace.durations import seconds
from millrace.kafka.market import TRADES
from millrace.kafka.parse import TEXT, TIME, Decoded, Fold
from millrace.queries.conditions import codes, rule
from millrace.queries.ohlc import Part, decimal, limbs, order, units

PRICE, SUM = pa.decimal128(24, 10), pa.decimal128(38, 10)  # a sum of valid volumes may be more than a store holds
LIMBS = (pa.decimal128(38, 0), pa.decimal128(38, 10), pa.decimal128(38, 20))
ORDER = pa.decimal128(38, 0)
_VALUES = [(f"{name}_{n}", kind) for name in ("priced", "other") for n, kind in enumerate(LIMBS)]
PARTS = pa.schema(
    [("symbol", TEXT), ("event_time", TIME), ("open", PRICE), ("open_order", ORDER), ("close", PRICE),
     ("close_order", ORDER), ("high", PRICE), ("low", PRICE), ("other_high", PRICE), ("other_low", PRICE),
     ("volume", SUM), ("priced_volume", SUM), *_VALUES, ("trades", pa.int64()), ("updates", pa.int64())]
)  # fmt: skip
SUMS = ("volume", "priced_volume", *(name for name, _ in _VALUES), "trades", "updates")


def fold(symbols: Iterable[str], resolutions: Sequence[str] = ("1m",)) -> Fold:
    """Return the fold that computes `parts` of `symbols` batch by batch, in the coarsest step of all resolutions."""
    wanted = frozenset(symbols)
    step = gcd(*(round(seconds(name)) for name in resolutions)) * 1_000_000
    return Fold(partial(parts, symbols=wanted), partial(_fold, symbols=wanted, step=step), PARTS, TRADES)


def parts(trades: DataFrame, symbols: Iterable[str]) -> DataFrame:
    """Return the part of a candle that each trade of `symbols` is by itself, in Spark SQL.

    Input: trade.v1 rows (symbol, price, volume, event_time, conditions, sequence). Output: PARTS.
    """
    price, volume, time, last, range_ = (F.col(name) for name in ("price", "volume", "time", "last", "range"))
    counted = F.col("counts") & (volume > 0)
    own = trades.filter(priced(symbols)).select(
        "symbol", "price", "volume", "event_time", "sequence", F.unix_micros("event_time").alias("time"),
        *(allowed(change).alias(name)
          for name, change in (("last", "open_close"), ("range", "high_low"), ("counts", "volume"))),
    )  # fmt: skip
    moment = F.concat(F.lpad(time.cast("string"), 18, "0"), F.lpad(F.col("sequence").cast("string"), 19, "0"))
    opening = (
        F.when(last & (volume > 0), "0").when(counted & range_, "1").when(counted, "2")
        .when(last, "3").when(range_, "4").otherwise("5")
    )  # fmt: skip
    closing = F.when(last, "2").when(range_, "1").otherwise("0")
    columns = {
        "open": price,
        "open_order": F.concat(opening, moment),
        "close": price,
        "close_order": F.concat(closing, moment),
        **dict.fromkeys(("high", "low"), F.when(range_, price)),
        **dict.fromkeys(("other_high", "other_low"), F.when(~range_, price)),
        "volume": F.when(counted, volume).otherwise(0),
        "priced_volume": F.when(counted & range_, volume).otherwise(0),
        **{f"priced_{n}": F.when(counted & range_, limb).otherwise(0) for n, limb in enumerate(_limbs())},
        **{f"other_{n}": F.when(counted & ~range_, limb).otherwise(0) for n, limb in enumerate(_limbs())},
        "trades": counted.cast("bigint"),
        "updates": F.lit(1).cast("bigint"),
    }
    typed = [column.cast(spark_type(PARTS.field(name).type)).alias(name) for name, column in columns.items()]
    return own.select("symbol", "event_time", *typed)


def priced(symbols: Iterable[str]) -> Column:
    """Return whether a row is a trade of `symbols`: one has a price above 0, whoever made the row."""
    return F.col("symbol").isin(*symbols) & (F.col("price") > 0)


def allowed(change: str) -> Column:
    """Return whether the conditions of a trade let it change open_close, high_low or volume."""
    return ~F.arrays_overlap("conditions", F.array(*map(F.lit, codes(change))))


def _limbs() -> tuple[Column, ...]:
    """Price times volume in three parts, for the whole product has more digits than Spark's decimals."""
    price, volume = F.floor("price"), F.floor("volume")
    price_rest, volume_rest = ((F.col("price") - price).cast("decimal(11,10)"),
                               (F.col("volume") - volume).cast("decimal(11,10)"))  # fmt: skip
    return price * volume, price * volume_rest + price_rest * volume, price_rest * volume_rest


def spark_type(kind: pa.DataType) -> str:
    """Return the name that Spark has for a type of PARTS."""
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    return {pa.int64(): "bigint"}[kind]


def _fold(decoded: Decoded, symbols: frozenset[str], step: int) -> pa.RecordBatch:
    """Fold the trades of one batch into a part per symbol and step (microseconds).

    `event_time` is the newest of the group, so the watermark advances as if each trade were a row.
    """
    made: dict[tuple[str, int], Part] = {}
    for time, trade in decoded:
        if trade.symbol in symbols and trade.price > 0:
            key = trade.symbol, time // step
            told = (time, trade.sequence, units(trade.price), units(trade.volume), rule(tuple(trade.conditions)))
            if key in made:
                made[key].add(*told)
            else:
                made[key] = Part(*told)
    rows = [row(symbol, part) for (symbol, _), part in made.items()]
    return pa.RecordBatch.from_pylist(rows, schema=PARTS)


def row(symbol: str, part: Part) -> dict[str, Any]:
    """Return a row of PARTS."""
    rank, *moment, price = part.open
    ends = {"open": decimal(price), "open_order": order(rank, *moment)}
    rank, *moment, price = part.close
    ends |= {"close": decimal(price), "close_order": order(rank, *moment)}
    levels = {
        name: None if price is None else decimal(price)
        for name in ("high", "low", "other_high", "other_low")
        for price in (getattr(part, name),)
    }
    values = {
        f"{name}_{n}": limb
        for name, value in (("priced", part.priced), ("other", part.other))
        for n, limb in enumerate(limbs(value))
    }
    volumes = {"volume": decimal(part.volume), "priced_volume": decimal(part.priced_volume)}
    counts = {"trades": part.trades, "updates": part.updates}
    return {"symbol": symbol, "event_time": part.newest} | ends | levels | volumes | values | counts
