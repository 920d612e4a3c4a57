"""A market: which trades happen when, at prices that walk at random. Its i-th trade is the same for every client."""

import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from millrace.errors import ConfigError

_SYMBOL = re.compile(r"[A-Z0-9^][A-Z0-9:._^=&-]{0,63}|[A-Z0-9][A-Z0-9 ._-]{0,31}:\w[\w .:^=&/+-]{0,30}")
_STEPS = (-3, -2, -1, -1, 0, 0, 0, 1, 1, 2, 3)  # ticks between two prices
_CODES = ("1", "2", "7", "8", "10", "12", "14", "24", "41")
_NO_CODES = ("missing", "null", "empty")  # how a trade without conditions may say so
TOGETHER = 5  # trades of a message at most
BURST = 150  # of one in a burst
TWINS = 0.02  # fraction of trades that are equal to the one before: both are real
LONE = 0.5  # fraction of what is broken that is a whole message


@dataclass(frozen=True)
class Quote:
    """Where a symbol begins: its price in ticks, decimals of price and volume, and the largest volume in lots."""

    ticks: int
    places: int
    lots: int
    volume_places: int = 0


QUOTES = {
    "BINANCE:BTCUSDT": Quote(67_012_35, 2, 200_000, 5),
    "BINANCE:ETHUSDT": Quote(3_481_07, 2, 50_000, 4),
    "AAPL": Quote(233_18, 2, 400),
    "MSFT": Quote(419_55, 2, 300),
    "TSLA": Quote(311_92, 2, 500),
    "NVDA": Quote(141_70, 2, 800),
    "AMZN": Quote(206_43, 2, 300),
    "GOOGL": Quote(176_08, 2, 300),
    "OANDA:EUR_USD": Quote(1_08417, 5, 100_000),
}
SYMBOLS = tuple(QUOTES)


@dataclass(frozen=True)
class Market:
    """What happens: trade i is `i / rate` seconds after the market opens. Raises ConfigError that names what is wrong.

    `start` is the time of the first trade; by default the moment of opening or, where trades are told faster than they
    are dated, a time that makes the last one be of now.
    """

    symbols: tuple[str, ...] = SYMBOLS
    seed: int = 1
    rate: float = 20.0  # trades a second of event time
    count: int | None = None  # None: endless
    start: datetime | None = None
    speed: float = 1.0  # event seconds per wall second; 0: at once
    shuffle: float = 0.05  # seconds by which times step back
    zero_volume: float = 0.05  # fraction of trades that are updates of the price alone
    conditions: float = 0.5  # fraction of trades with condition codes
    bursts: float = 0.0  # fraction of messages that hold many trades
    malformed: float = 0.0  # fraction of trades that are broken, alone or within a message

    def __post_init__(self) -> None:
        """Check the values."""
        if problems := _problems(self):
            raise ConfigError("wrong market: " + "; ".join(problems))

    def opened(self, now: int) -> int:
        """Return the time (milliseconds) of the first trade of a market that opens `now`."""
        if self.start is not None:
            start = self.start if self.start.tzinfo else self.start.replace(tzinfo=UTC)
            return round(start.timestamp() * 1000)
        ahead = (self.count or 0) / self.rate if self.speed == 0 or self.speed > 1 else 0.0
        return now - round(ahead * 1000)


def _problems(market: Market) -> list[str]:
    rules = {
        "--rate is more than 0": 0 < market.rate <= 1e6,
        "--speed is 0 or more": 0 <= market.speed < math.inf,
        "--count is 0 or more": market.count is None or market.count >= 0,
        "--shuffle is 0 to 600 seconds": 0 <= market.shuffle <= 600,
        "--seed is 0 or more": market.seed >= 0,
        "a symbol is wanted": bool(market.symbols),
        "--speed above 1 (or 0) needs --count or --start": not (
            market.count is None and market.start is None and (market.speed == 0 or market.speed > 1)
        ),
    }
    rules |= {
        f"{each!r} is no symbol such as BINANCE:BTCUSDT": bool(_SYMBOL.fullmatch(each)) for each in market.symbols
    }
    for name in ("zero_volume", "conditions", "bursts", "malformed"):
        rules[f"--{name.replace('_', '-')} is a fraction from 0 to 1"] = 0 <= getattr(market, name) <= 1
    return [rule for rule, holds in rules.items() if not holds]


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade: decimals as they are written, `time` in milliseconds after the first; `broken` says in which way.

    `conditions` None and () are two ways to say none, and `told` False a third.
    """

    index: int
    symbol: str
    price: str
    volume: str
    time: int
    conditions: tuple[str, ...] | None
    told: bool = True
    broken: int | None = None
    lone: bool = False  # broken, and a message of its own


def messages(market: Market) -> Iterator[list[Trade]]:
    """Yield the trades in order, message by message; a message is due with its last trade."""
    walk = _Walk(market)
    index = 0
    while market.count is None or index < market.count:
        size = BURST if walk.draw.random() < market.bursts else walk.draw.randint(1, TOGETHER)
        if market.count is not None:
            size = min(size, market.count - index)
        message: list[Trade] = []
        for number in range(index, index + size):
            message.append(walk.next(number, (index + size - 1) / market.rate, message[-1] if message else None))
        index += size
        if together := [each for each in message if not each.lone]:
            yield together
        yield from ([each] for each in message if each.lone)


class _Walk:
    """Where the prices are."""

    def __init__(self, market: Market) -> None:
        self.draw = random.Random(market.seed)
        self._market = market
        self._quotes = {symbol: quote(symbol) for symbol in market.symbols}
        self._ticks = {symbol: each.ticks for symbol, each in self._quotes.items()}

    def next(self, index: int, due: float, before: Trade | None) -> Trade:
        """Return trade `index`, told `due` seconds after the first; `before` it in the message came another."""
        draw, market = self.draw, self._market
        symbol = draw.choice(market.symbols)
        self._ticks[symbol] = max(1, self._ticks[symbol] + draw.choice(_STEPS))
        time = max(0, round((due - draw.random() * market.shuffle) * 1000))
        lots = 0 if draw.random() < market.zero_volume else draw.randint(1, self._quotes[symbol].lots)
        codes, told = self._conditions()
        broken = draw.randrange(1 << 30) if draw.random() < market.malformed else None
        lone = broken is not None and draw.random() < LONE
        if draw.random() < TWINS and before and broken is None and before.broken is None:
            return replace(before, index=index)
        price = written(self._ticks[symbol], self._quotes[symbol].places)
        volume = written(lots, self._quotes[symbol].volume_places)
        return Trade(index, symbol, price, volume, time, codes, told, broken, lone)

    def _conditions(self) -> tuple[tuple[str, ...] | None, bool]:
        if self.draw.random() < self._market.conditions:
            return tuple(self.draw.sample(_CODES, self.draw.randint(1, 3))), True
        way = self.draw.choice(_NO_CODES)
        return (() if way == "empty" else None), way != "missing"


def quote(symbol: str) -> Quote:
    """Return where a symbol begins; one that is not known has a start of its own, always the same."""
    own = random.Random(symbol)
    return QUOTES.get(symbol) or Quote(own.randint(500, 100_000), 2, own.randint(50, 1000))


def written(number: int, places: int) -> str:
    """Write `number` of the last of `places` decimals: 6701235 and 2 are 67012.35."""
    return f"{number // 10**places}.{number % 10**places:0{places}d}" if places else str(number)
