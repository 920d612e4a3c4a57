"""Draw Bluesky's pipeline in the terminal: top hashtags of the newest windows as bars."""

from collections.abc import Iterator
from typing import Any

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from millrace.demo.views.store import Store
from millrace.demo.views.widgets import bar, health
from millrace.logs import escape

# Whole minutes, which do not overlap, also where another job counts longer or sliding windows into the same table: the
# newest is still filling, and all before it are full.
MINUTES = """
hashtag_counts WHERE source = :source AND window_start >= :since AND substr(window_start, 18) = '00.000Z'
AND window_end = strftime('%Y-%m-%dT%H:%M:%fZ', window_start, '+1 minute')
"""
TOP = f"""
SELECT hashtag, SUM(posts) AS posts, SUM(CASE WHEN window_start = :full THEN posts ELSE 0 END) AS now,
       SUM(CASE WHEN window_start = :before THEN posts ELSE 0 END) AS before
FROM {MINUTES} GROUP BY hashtag ORDER BY posts DESC, hashtag LIMIT :rows
"""  # noqa: S608  values are bound
WINDOWS = f"SELECT DISTINCT window_start FROM {MINUTES} ORDER BY 1 DESC LIMIT :n"  # noqa: S608


def render(store: Store, since: str, feed: str, waiting: str, rows: int) -> Group:
    """Return the view: hashtags of the last three windows, the last full one against that before, and the health."""
    starts = windows(store, since, 3)
    body = _hashtags(store, starts, rows) if starts else Text(waiting, style="dim")
    title = f"millrace: hashtags on {feed}" + (f", {starts[-1][11:16]} to {starts[0][11:16]} UTC" if starts else "")
    return Group(Panel(body, title=title, border_style="cyan"), health(store.progress()))


def _hashtags(store: Store, starts: list[str], rows: int) -> Table:
    full, before = starts[1:2] or [""], starts[2:3]
    table = Table(box=None, pad_edge=False, expand=False)
    for name in ("", "hashtag", "posts", "", "last full minute", "change"):
        table.add_column(name, justify="left" if name == "hashtag" else "right", no_wrap=True)
    table.columns[3].justify = "left"
    found = top(store, starts[-1], rows, full[0], before[0] if before else "")
    for place, (hashtag, posts, now, previous) in enumerate(found, 1):
        label = Text(f"#{escape(hashtag)}"[:30], style="bold")
        change = _change(now - previous) if before else Text("")
        table.add_row(
            str(place),
            label,
            str(posts),
            Text(bar(posts / found[0][1]), "cyan"),
            str(now) if full[0] else "",
            change,
        )
    return table


def counted(store: Store, since: str) -> bool:
    """Return whether anything was counted from `since` on."""
    return bool(windows(store, since, 1))


def lines(store: Store, since: str) -> Iterator[tuple[str, str]]:
    """Yield the rows of the final table: a hashtag and its number of posts."""
    for hashtag, posts, *_ in top(store, since, 20):
        yield f"#{hashtag}", str(posts)


def windows(store: Store, since: str, count: int) -> list[str]:
    """Return the starts of the newest `count` minutes at or after `since`, newest first."""
    return [start for (start,) in store.query(WINDOWS, since=since, n=count)]


def top(store: Store, since: str, rows: int, full: str = "", before: str = "") -> list[tuple[str, int, int, int]]:
    """Return (hashtag, posts, posts in window `full`, posts in window `before`) from `since` on, most posts first."""
    found: list[Any] = store.query(TOP, since=since, rows=rows, full=full, before=before)
    return found


def _change(difference: int) -> Text:
    style = "green" if difference > 0 else "red" if difference < 0 else "dim"
    return Text(f"{'▲' if difference > 0 else '▼' if difference < 0 else '='} {abs(difference)}", style)
