"""Note which candle each window shows: its own or, in a hole between two candles, the one before."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import Connection, Table, func, select

from millrace.kafka.gaps import Span, merged
from millrace.sinks.sql.statements import dialect_name, upsert

MOST = 10_000  # windows of a hole that are filled
AT_ONCE = 1_000  # rows of a statement
CLOSE = timedelta(hours=1)  # windows so near to each other are looked up for all symbols at once
Series = tuple[str, str]  # symbol and resolution


def note(connection: Connection, candles: Table, keys: Sequence[tuple[str, str, datetime]]) -> None:
    """Note the windows of `candles` that this transaction stored under `keys`, and the holes before and after them.

    Keys are symbol, resolution and start. What is noted already takes a look-up alone. The table of windows is the one
    that `candles.info` names.
    """
    fresh: dict[Series, list[datetime]] = defaultdict(list)
    for symbol, resolution, start in _unknown(connection, candles.info["windows"], keys):
        fresh[symbol, resolution].append(start)
    for series, starts in fresh.items():
        _fill(connection, candles, series, min(starts), max(starts))


def note_all(connection: Connection, candles: Table) -> None:
    """Note the windows of all `candles`, which an earlier version stored."""
    series, start = (candles.c.symbol, candles.c.resolution), candles.c.window_start
    bounds = select(*series, func.min(start), func.max(start)).group_by(*series)
    for symbol, resolution, first, last in connection.execute(bounds).all():
        _fill(connection, candles, (symbol, resolution), first, last)


def spread(candles: Iterable[Span]) -> Iterator[tuple[datetime, datetime, datetime]]:
    """Yield what the windows of one symbol's `candles` show: their start and end, and the start of a candle.

    Each shows its own candle; those between one candle and the next, 10,000 at most, show the one.
    """
    shown: Span | None = None
    for start, end in candles:
        yield from _hole(shown, start)
        yield start, end, start
        shown = start, end


def _hole(shown: Span | None, until: datetime) -> Iterator[tuple[datetime, datetime, datetime]]:
    if shown:
        start, end = shown
        length = end - start
        for number in range(min(-((end - until) // length), MOST)):
            yield end + number * length, end + (number + 1) * length, start


def _unknown(
    connection: Connection, windows: Table, keys: Sequence[tuple[str, str, datetime]]
) -> set[tuple[str, str, datetime]]:
    """Return those of `keys` whose window shows no candle of its own yet."""
    by_series: dict[Series, list[datetime]] = defaultdict(list)
    for symbol, resolution, start in keys:
        by_series[symbol, resolution].append(start)
    starts = [start for _, _, start in keys]
    together = max(starts) - min(starts) <= CLOSE if starts else False
    lots = [keys] if together else [[(*series, start) for start in own] for series, own in by_series.items()]
    unknown = set(keys)
    for lot in lots:  # by range: thousands of keys in one statement take longer than what they find
        symbols, resolutions, times = (list(each) for each in zip(*lot, strict=True))
        found = select(windows.c.symbol, windows.c.resolution, windows.c.window_start).where(
            windows.c.symbol.in_(set(symbols)),
            windows.c.resolution.in_(set(resolutions)),
            windows.c.window_start.between(min(times), max(times)),
            windows.c.since == windows.c.window_start,
        )
        unknown -= {tuple(row) for row in connection.execute(found)}
    return unknown


def _fill(connection: Connection, candles: Table, series: Series, first: datetime, last: datetime) -> None:
    """Note the windows from the candle before `first` to the one after `last`."""
    windows, start = candles.info["windows"], candles.c.window_start
    mine = [candles.c.symbol == series[0], candles.c.resolution == series[1]]
    before = connection.scalar(select(func.max(start)).where(*mine, start < first)) or first
    after = connection.scalar(select(func.min(start)).where(*mine, start > last)) or last
    found = select(start, candles.c.window_end).where(*mine, start.between(before, after)).order_by(start)
    lost = _Lost(connection, candles.metadata.tables["gaps"], before, after)
    names = ("symbol", "resolution", "window_start", "window_end", "since", "complete")
    rows = (
        dict(zip(names, (*series, *window, not lost.touch(*window[:2])), strict=True))
        for window in spread([tuple(row) for row in connection.execute(found)])
    )
    statement = upsert(windows, dialect_name(connection.dialect.name))
    while lot := list(islice(rows, AT_ONCE)):
        connection.execute(statement, lot)


class _Lost:
    """The gaps of the feed between two times."""

    def __init__(self, connection: Connection, gaps: Table, first: datetime, last: datetime) -> None:
        start, end = gaps.c.gap_start, gaps.c.gap_end
        found = connection.execute(select(start, end).where(end >= first, start <= last))
        self._spans = merged([tuple(row) for row in found])
        self._starts = [start for start, _ in self._spans]

    def touch(self, start: datetime, end: datetime) -> bool:
        """Return whether trades may be lost between `start` and `end`, which is not part of it."""
        place = bisect_left(self._starts, end)
        return place > 0 and self._spans[place - 1][1] >= start
