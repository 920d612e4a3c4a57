"""trade.v1: one trade or price update of one symbol in Kafka.

As with posts, `decode` is how every reader judges a record. A trade has no id of its own: two equal ones may both be
real, so its identity is its place in the transport, `connection` and `sequence`. No Spark here.
"""

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import asdict

from millrace import names
from millrace.errors import BadRecord, ConfigError
from millrace.kafka.posts import whole

SCHEMA = "trade.v1"
PLACES = Decimal("1E-10")  # what feeds say beyond ten decimals is rounded half up
PRICES = Decimal(10) ** 14  # DECIMAL(24,10)
VOLUMES = Decimal(10) ** 18  # DECIMAL(28,10)
_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)
Time = Annotated[datetime, Meta(tz=True)]
Sequence = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Trade(msgspec.Struct, gc=False, kw_only=True):
    """One trade, or with volume 0 an update of the price.

    `price` is in the quote currency and above 0, `volume` in units of the base; both are exact decimals, JSON numbers
    in Kafka. `event_time` (milliseconds) is the exchange's, `received_at` the adapter's; both are ISO 8601 UTC.
    `conditions` are the feed's codes. `sequence` grows with every trade of the feed, across connections.
    """

    symbol: str
    price: Decimal
    volume: Decimal
    event_time: Time
    conditions: list[str] = []
    received_at: Time | None = None
    connection: str
    sequence: Sequence


_DECODER = msgspec.json.Decoder(Trade)
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def decode(value: bytes | None) -> Trade:
    """Return the trade in a record's value, decimals to ten places; raises BadRecord with the reason."""
    return whole(value, decode_clean)


def decode_clean(value: bytes) -> Trade:
    """Do as `decode` for a value that is UTF-8 without escaped NUL; raises BadRecord or what is in `posts.REFUSED`."""
    trade = _DECODER.decode(value)
    _known(trade.symbol)
    trade.price = price(trade.price, "price")
    trade.volume = exact(trade.volume, VOLUMES, "volume")
    if trade.volume < 0:
        raise BadRecord(f"volume {trade.volume} is negative")
    return trade


def encode(trade: Trade) -> bytes:
    """Return the record's value: compact JSON with decimals as numbers, times with microseconds."""
    times = {name: _iso(getattr(trade, name)) for name in ("event_time", "received_at")}
    return _ENCODER.encode(asdict(trade) | times)


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment else None


def price(number: Decimal, name: str) -> Decimal:
    """Return what `exact` makes of a price; raises BadRecord also unless ten places of it are above 0."""
    found = exact(number, PRICES, name)
    if found <= 0:
        raise BadRecord(f"{name} {str(number)[:40]} is no price: it is not above 0")
    return found


def exact(number: Decimal, limit: Decimal, name: str) -> Decimal:
    """Return `number` rounded half up to ten places; raises BadRecord when it is not finite or not below `limit`."""
    try:
        rounded = number.quantize(PLACES, context=_EXACT)
        if -limit < rounded < limit:
            return number if rounded == number else rounded
    except InvalidOperation:  # NaN, infinite, or of more digits than any number here
        pass
    raise BadRecord(f"{name} {str(number)[:40]} is no number below {limit:,}")


@lru_cache(maxsize=4096)
def _known(symbol: str) -> str:
    try:
        return names.symbol(symbol)
    except ConfigError as error:
        raise BadRecord(str(error)) from None
