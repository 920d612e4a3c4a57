"""Trades and the candles that are right for them, in exact fractions, with no code of millrace."""

import json
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import Any

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PLACES = Decimal("1E-10")
LENGTHS = {"1s": 1, "5s": 5, "10s": 10, "1m": 60, "5m": 300, "1h": 3600}
VOLUME_ONLY = {"3", "5", "10", "12", "17", "22", "25", "26", "35"}
RANGE_ONLY, NO_VOLUME, NOTHING = {"9", "21", "30", "32"}, {"37"}, {"16", "20"}
CODES = [(), (), (), (), ("1",), ("1", "24"), ("12",), ("30",), ("37",), ("16",), ("1", "24", "12"), ("99",)]


@dataclass(frozen=True)
class Tick:
    """One trade as the feed tells it; `time` is in milliseconds since 1970."""

    symbol: str
    price: Decimal
    volume: Decimal
    time: int
    sequence: int
    conditions: tuple[str, ...] = ()

    def record(self) -> tuple[bytearray, datetime]:
        """Return value and timestamp of its record in Kafka."""
        moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=self.time)
        text = json.dumps(
            {"symbol": self.symbol, "price": "PRICE", "volume": "VOLUME", "event_time": moment.isoformat(),
             "conditions": self.conditions, "connection": "c", "sequence": self.sequence}
        )  # fmt: skip
        exact = text.replace('"PRICE"', f"{self.price:f}").replace('"VOLUME"', f"{self.volume:f}")
        return bytearray(exact.encode()), moment


def walk(symbols: Iterable[str], count: int, seed: int = 1, start: datetime = NOON, gap: float = 0.5) -> list[Tick]:
    """Return `count` ticks of random walks, `gap` seconds apart on average; equal times and prices come up."""
    draw = random.Random(seed)
    prices = {symbol: Decimal(draw.randint(1, 90_000)) for symbol in symbols}
    time, ticks = round(start.timestamp() * 1000), []
    for number in range(count):
        symbol = draw.choice(list(prices))
        prices[symbol] = max(
            Decimal("0.0000000001"), prices[symbol] + Decimal(draw.randint(-300, 300)) / 10 ** draw.randint(1, 10)
        )
        volume = Decimal(0) if draw.random() < 0.1 else Decimal(draw.randint(1, 10**12)) / 10 ** draw.randint(0, 10)
        ticks.append(Tick(symbol, prices[symbol], volume, time, number, draw.choice(CODES)))
        time += draw.choice((0, round(gap * 1000), round(gap * 2000)))
    return ticks


def candles(ticks: Iterable[Tick], *resolutions: str) -> dict[tuple[str, str, datetime], dict[str, Any]]:
    """Return the right candles by symbol, resolution and start of the window."""
    found = defaultdict(list)
    for tick in ticks:
        for name in resolutions:
            length = LENGTHS[name] * 1000
            start = datetime.fromtimestamp(tick.time // length * length / 1000, UTC)
            found[tick.symbol, name, start].append(tick)
    return {key: candle(window) for key, window in found.items()}


def candle(ticks: list[Tick]) -> dict[str, Any]:
    """Return the candle of one window's ticks."""
    ordered = sorted(ticks, key=lambda tick: (tick.time, tick.sequence))
    ranged = [tick for tick in ordered if not set(tick.conditions) & (VOLUME_ONLY | NOTHING)]
    priced = [tick for tick in ranged if not set(tick.conditions) & RANGE_ONLY]
    counted = [tick for tick in ordered if tick.volume and not set(tick.conditions) & (NO_VOLUME | NOTHING)]
    traded = [tick for tick in priced if tick.volume] or [tick for tick in counted if tick in ranged] or counted
    opening = traded or priced or ranged or ordered
    sets_prices = any(tick in ranged for tick in counted)
    prices = [tick.price for tick in (ranged if sets_prices else ordered)]
    weighed = [tick for tick in counted if tick in ranged] or counted
    return {
        "open": opening[0].price,
        "high": max(prices),
        "low": min(prices),
        "close": (priced or ranged or ordered)[-1].price,
        "volume": sum((tick.volume for tick in counted), Decimal(0)),
        "vwap": average(weighed),
        "trades": len(counted),
        "updates": len(ordered),
    }


def average(ticks: list[Tick]) -> Decimal | None:
    """Return the volume-weighted average price, half up to ten places."""
    volume = sum((Fraction(tick.volume) for tick in ticks), Fraction(0))
    if not volume:
        return None
    value = sum((Fraction(tick.price) * Fraction(tick.volume) for tick in ticks), Fraction(0)) / volume
    with localcontext(prec=200):
        return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(PLACES, ROUND_HALF_UP)


def shuffled(ticks: list[Tick], seed: int) -> list[Tick]:
    """Return the ticks in another order."""
    return random.Random(seed).sample(ticks, len(ticks))
