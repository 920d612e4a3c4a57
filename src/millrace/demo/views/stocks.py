"""Draw the stock pipeline in the terminal: price, change, range, volume and VWAP of each symbol."""

from collections.abc import Iterator, Sequence

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from millrace.demo.views.store import Store
from millrace.demo.views.widgets import health
from millrace.logs import escape

STEPS = "▁▂▃▄▅▆▇█"
LATEST = 16  # candles in a sparkline
FINEST = "10s"  # the resolution of sparklines
DAY = """
SELECT symbol, MAX(high), MIN(low), SUM(volume), SUM(trades), SUM(volume * vwap) / NULLIF(SUM(volume), 0),
       SUM(CASE WHEN complete THEN 0 ELSE 1 END)
FROM candles WHERE resolution = '1m' AND window_start >= :since GROUP BY symbol ORDER BY symbol
"""
CLOSES = """
SELECT open, close FROM candles WHERE symbol = :symbol AND resolution = :resolution AND window_start >= :since
ORDER BY window_start
"""


def render(store: Store, since: str, feed: str, waiting: str, rows: int) -> Group:
    """Return the view of the candles from `since` on, or `waiting` before there are any."""
    title = f"millrace: candles of {feed} since {since[11:16]} UTC"
    body = _symbols(store, since, rows) if counted(store, since) else Text(waiting, style="dim")
    return Group(Panel(body, title=title, border_style="cyan"), health(store.progress(), "trades"))


def counted(store: Store, since: str) -> bool:
    """Return whether there is any candle from `since` on."""
    return bool(store.query(DAY, since=since))


def lines(store: Store, since: str) -> Iterator[tuple[str, str]]:
    """Yield the rows of the final table: each symbol with its last price and what was traded."""
    for symbol, high, low, volume, trades, *_ in store.query(DAY, since=since):
        closes = store.query(CLOSES, symbol=symbol, resolution="1m", since=since)
        told = f"{trades:,} trades, volume {number(volume)}, between {number(low)} and {number(high)}"
        yield symbol, f"{number(closes[-1][1])}  {told}"


def _symbols(store: Store, since: str, rows: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("symbol", "price", "change", "low", "high", "VWAP", "volume", "trades", ""):
        table.add_column(name, justify="left" if name in ("symbol", "") else "right", no_wrap=True)
    for symbol, high, low, volume, trades, vwap, broken in store.query(DAY, since=since)[:rows]:
        candles = store.query(CLOSES, symbol=symbol, resolution=FINEST, since=since)
        if candles:
            first, price = candles[0][0], candles[-1][1]
            line = Text(sparkline([close for _, close in candles[-LATEST:]]), "cyan")
            line.append(f" {broken} incomplete" if broken else "", "dim")
            numbers = (number(low), number(high), "" if vwap is None else number(vwap), short(volume), f"{trades:,}")
            label = Text(escape(symbol), style="bold")
            table.add_row(label, number(price), _change(first, price), *numbers, line)
    return table


def sparkline(values: Sequence[float]) -> str:
    """Return the values as bars between the lowest and the highest of them."""
    low, high = min(values), max(values)
    span = (high - low) or 1
    return "".join(STEPS[round((value - low) / span * (len(STEPS) - 1))] for value in values)


def number(value: float) -> str:
    """Return a price or volume with two decimals, below 10 with five significant digits."""
    return f"{value:,.2f}" if abs(value) >= 10 else f"{value:.5g}"


def short(value: float) -> str:
    """Return an amount in short: thousands as K, millions as M, billions as G."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "K")):
        if value >= size:
            return f"{value / size:.1f}{letter}"
    return f"{value:.4g}"


def _change(first: float, last: float) -> Text:
    share = (last - first) / first if first else 0.0
    style = "green" if share > 0 else "red" if share < 0 else "dim"
    return Text(f"{'▲' if share > 0 else '▼' if share < 0 else '='} {abs(share):.2%}", style)
