"""candle.v1: one candle as it stood, in the topic of its symbol. `decode` is how every reader judges a record."""

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from millrace import names
from millrace.errors import BadRecord, ConfigError
from millrace.kafka.trades import VOLUMES, Time, exact, price

SCHEMA = "candle.v1"
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Candle(msgspec.Struct, gc=False, kw_only=True):
    """The columns of table `candles`; `updates` orders the records of one candle, 0 where the writer told none."""

    symbol: str
    resolution: Annotated[str, Meta(min_length=2, max_length=8)]
    window_start: Time
    window_end: Time
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    vwap: Decimal | None = None
    trades: Count
    complete: bool
    updates: Count = 0


_DECODER = msgspec.json.Decoder(Candle)


def decode(value: bytes | None) -> Candle:
    """Return the candle in a record's value, decimals to ten places; raises BadRecord with the reason."""
    if value is None:
        raise BadRecord("null value")
    try:
        candle = _DECODER.decode(value.decode())
        names.symbol(candle.symbol)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ConfigError) as error:
        raise BadRecord(str(error)) from None
    for name in ("open", "high", "low", "close"):
        setattr(candle, name, price(getattr(candle, name), name))
    candle.vwap = None if candle.vwap is None else price(candle.vwap, "vwap")
    candle.volume = exact(candle.volume, VOLUMES, "volume")
    return candle


def decode_placed(value: bytes | None) -> Candle:
    """Do as `decode` for a record behind its topic's name and a line feed; of other topics' symbols it is bad."""
    topic, _, record = (value or b"").partition(b"\n")
    candle = decode(record if value else None)
    if names.symbol_topic(candle.symbol).encode() != topic:
        raise BadRecord(f"symbol {candle.symbol} has another topic than {topic.decode()}")
    return candle
