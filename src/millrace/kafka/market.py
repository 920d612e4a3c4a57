"""Kafka records of the stock market: to rows of trade.v1, of candle.v1, and of a feed's gaps."""

from collections.abc import Iterable

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from millrace.kafka import candles as candle_v1
from millrace.kafka import gaps as gap_v1
from millrace.kafka import trades as trade_v1
from millrace.kafka.parse import TEXT, TIME, Judge, rows

TRADES = Judge(trade_v1.decode, trade_v1.decode_clean)
CANDLES = Judge(candle_v1.decode_placed, candle_v1.decode_placed)
GAPS = Judge(gap_v1.decode, gap_v1.decode)
PRICE, VOLUME = pa.decimal128(24, 10), pa.decimal128(28, 10)
TRADE_COLUMNS: dict[str, pa.DataType] = {
    "symbol": TEXT,
    "price": PRICE,
    "volume": VOLUME,
    "event_time": TIME,
    "conditions": pa.list_(TEXT),
    "received_at": TIME,
    "connection": TEXT,
    "sequence": pa.int64(),
}
CANDLE_COLUMNS: dict[str, pa.DataType] = (
    {"symbol": TEXT, "resolution": TEXT, "window_start": TIME, "window_end": TIME}
    | dict.fromkeys(("open", "high", "low", "close"), PRICE)
    | {"volume": VOLUME, "vwap": PRICE, "trades": pa.int64(), "complete": pa.bool_(), "updates": pa.int64()}
)


def trades(records: DataFrame, columns: Iterable[str] = TRADE_COLUMNS) -> DataFrame:
    """Return trade.v1 rows of `columns` from Kafka records (value, timestamp), as `parse.posts` does posts."""
    return rows(records, {name: TRADE_COLUMNS[name] for name in columns}, TRADES)


def candles(records: DataFrame) -> DataFrame:
    """Return candle.v1 rows (CANDLE_COLUMNS) from Kafka records; bad ones are counted and left out.

    Bad is also a record in the topic of another symbol.
    """
    placed = F.concat(F.encode("topic", "utf-8"), F.lit(b"\n"), "value").alias("value")
    return rows(records.select(placed, "timestamp"), CANDLE_COLUMNS, CANDLES)


def gaps(records: DataFrame, source: str) -> DataFrame:
    """Return when `source` may have lost something: source, gap_start, gap_end, host, reason."""
    found = rows(records, {"source": TEXT, "start": TIME, "end": TIME, "host": TEXT, "reason": TEXT}, GAPS)
    texts = [F.substring(name, 1, 300).alias(name) for name in ("host", "reason")]
    times = [F.col("start").alias("gap_start"), F.col("end").alias("gap_end")]
    return found.filter(F.col("source") == source).select("source", *times, *texts)
