"""The arithmetic of a candle in exact integers: prices and volumes in units of 10^-10, their products of 10^-20.

Open and close go by (event time, sequence), so a candle is the same in whatever order its trades come, and two parts
of one can be made apart and put together (`queries.candles` lets Spark do that).
"""

from collections.abc import Iterable, Iterator
from decimal import Context, Decimal
from statistics import median_low
from typing import Any

from millrace.queries.conditions import Rule

SCALE = 10
UNIT = 10**SCALE
_EXACT = Context(prec=60)
Print = tuple[int, int, int, int, Rule]  # event time, sequence, price, volume, what it changes


def units(number: Decimal) -> int:
    """Return a decimal of at most ten places as an integer of 10^-10."""
    return int(number.scaleb(SCALE, _EXACT))


def decimal(units: int, scale: int = SCALE) -> Decimal:
    """Return an integer of 10^-scale as a decimal."""
    return Decimal(units).scaleb(-scale, _EXACT)


class Part:
    """What some of a candle's trades make of it.

    `open` and `close` are (rank, time, sequence, price): a price that may not set them ranks behind all that may, and
    stands in only where there is no other. Open ranks every trade before an update without volume. `high` and `low` are
    those of prices that may set them, `other_high` and `other_low` those of the rest, None where there is none. `value`
    is price times volume: `priced` of trades that may move high and low, `other` of the rest.
    """

    __slots__ = ("close", "high", "low", "newest", "open", "other", "other_high", "other_low", "priced",
                 "priced_volume", "trades", "updates", "volume")  # fmt: skip

    def __init__(self, time: int, sequence: int, price: int, volume: int, rule: Rule) -> None:
        self.open = (self._rank(volume, rule), time, sequence, price)
        self.close = (2 if rule.open_close else int(rule.high_low), time, sequence, price)
        self.high = self.low = price if rule.high_low else None
        self.other_high = self.other_low = None if rule.high_low else price
        self.newest = time
        self.updates = 1
        self.trades = self.volume = self.priced = self.priced_volume = self.other = 0
        self._count(price, volume, rule)

    def add(self, time: int, sequence: int, price: int, volume: int, rule: Rule) -> None:
        """Take one more trade, in any order."""
        first = (self._rank(volume, rule), time, sequence, price)
        self.open = min(self.open, first)
        last = (2 if rule.open_close else int(rule.high_low), time, sequence, price)
        self.close = max(self.close, last)
        if rule.high_low:
            self.high = price if self.high is None or price > self.high else self.high
            self.low = price if self.low is None or price < self.low else self.low
        else:
            self.other_high = price if self.other_high is None or price > self.other_high else self.other_high
            self.other_low = price if self.other_low is None or price < self.other_low else self.other_low
        self.newest = max(self.newest, time)
        self.updates += 1
        self._count(price, volume, rule)

    @staticmethod
    def _rank(volume: int, rule: Rule) -> int:
        if volume and rule.open_close:
            return 0
        if volume and rule.volume:  # an update without volume opens only what nothing was traded in
            return 1 if rule.high_low else 2
        return 3 if rule.open_close else 4 if rule.high_low else 5

    def _count(self, price: int, volume: int, rule: Rule) -> None:
        if volume and rule.volume:
            self.trades += 1
            self.volume += volume
            if rule.high_low:
                self.priced_volume += volume
                self.priced += price * volume
            else:
                self.other += price * volume


def vwap(*, priced: int, priced_volume: int, other: int, volume: int) -> Decimal | None:
    """Return the volume-weighted average price, HALF_UP to ten places; None where there is no volume to weigh by.

    Trades that may not move high and low do not move it either, unless nothing else was traded.
    """
    value, weight = (priced, priced_volume) if priced_volume else (other, volume)
    if not weight:
        return None
    rounded = (2 * abs(value) + weight) // (2 * weight)
    return decimal(rounded if value >= 0 else -rounded)


def without_bad_prints(prints: Iterable[Print], share: Decimal) -> Iterator[Print]:
    """Yield the trades whose price is no farther than `share` (0.05: 5 %) from the median of all that set prices.

    The median is the lower one of two. Where none sets a price, all stay.
    """
    found = list(prints)
    prices = [price for _, _, price, _, rule in found if rule.high_low]
    middle = median_low(prices) if prices else 0
    reach = abs(middle) * share
    return (each for each in found if not prices or abs(each[2] - middle) <= reach)


def part_of(prints: Iterable[Print]) -> Part | None:
    """Return what `prints` make together, None of none."""
    whole: Part | None = None
    for each in prints:
        if whole is None:
            whole = Part(*each)
        else:
            whole.add(*each)
    return whole


def order(rank: int, time: int, sequence: int) -> Decimal:
    """Return one number of 38 digits that sorts as (rank, time, sequence) do."""
    return Decimal((rank * 10**18 + time) * 10**19 + sequence)


def limbs(value: int) -> tuple[Decimal, Decimal, Decimal]:
    """Return `value` (10^-20) in three parts that add up to it and whose sums fit into Spark's 38 digits."""
    whole, rest = divmod(value, UNIT * UNIT)
    middle, small = divmod(rest, UNIT)
    return Decimal(whole), decimal(middle), decimal(small, 2 * SCALE)


def joined(parts: Iterable[Decimal]) -> int:
    """Return the value (10^-20) that sums of `limbs` stand for."""
    return sum(int(each.scaleb(2 * SCALE, _EXACT)) for each in parts)


def finished(row: dict[str, Any]) -> dict[str, Any]:
    """Return open, high, low, close, volume, vwap, trades and updates of a row of sums (`candle_parts.SUMS`)."""
    kinds = ("",) if row["priced_volume"] else ("", "other_")  # where no trade may set a price, all do
    high = max(price for kind in kinds if (price := row[f"{kind}high"]) is not None)
    low = min(price for kind in kinds if (price := row[f"{kind}low"]) is not None)
    price = {"open": row["open"], "high": high, "low": low, "close": row["close"]}
    average = vwap(
        priced=joined(row[f"priced_{n}"] for n in range(3)),
        priced_volume=units(row["priced_volume"]),
        other=joined(row[f"other_{n}"] for n in range(3)),
        volume=units(row["volume"]),
    )
    return price | {"volume": row["volume"], "vwap": average, "trades": row["trades"], "updates": row["updates"]}
