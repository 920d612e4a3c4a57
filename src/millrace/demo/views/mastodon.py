"""Draw Mastodon's pipeline in the terminal: languages and hashtags as bars, and the posts with most reactions."""

from collections.abc import Iterator
from typing import Any

from rich.columns import Columns
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from millrace.demo.views.store import Store
from millrace.demo.views.widgets import bar, health
from millrace.logs import escape

SHORT = 18  # characters of the longest bar here
SUMS = """
SELECT {0}, SUM(posts) AS posts FROM {1} WHERE source = :source AND window_start >= :since
GROUP BY {0} ORDER BY posts DESC, {0} LIMIT :n
"""
SCORES = """
SELECT author, engagement_score, replies, reblogs, favourites FROM post_engagement
WHERE source = :source AND observed_at >= :since AND engagement_score > 0
ORDER BY engagement_score DESC, id LIMIT :n
"""
AVERAGE = """
SELECT SUM(readings), SUM(readings * average_score) / SUM(readings) FROM engagement_windows
WHERE source = :source AND window_start >= :since
"""


def render(store: Store, since: str, feed: str, waiting: str, rows: int) -> Group:
    """Return the view of what was counted from `since` on, or `waiting` before anything was."""
    if not counted(store, since):
        return Group(Panel(Text(waiting, style="dim"), title=f"millrace: {feed}"), health(store.progress()))
    panels = [
        Panel(_bars(_sums(store, since, "language", "language_counts", rows)), title="languages", border_style="cyan"),
        Panel(_bars(_tags(store, since, rows)), title="hashtags", border_style="cyan"),
        Panel(_reactions(store, since, rows), title=f"engagement{_average(store, since)}", border_style="cyan"),
    ]
    title = Text(f" millrace: {feed} since {since[11:16]} UTC", style="bold")
    return Group(title, Columns(panels), health(store.progress()))


def counted(store: Store, since: str) -> bool:
    """Return whether anything was counted from `since` on."""
    return bool(_sums(store, since, "language", "language_counts", 1))


def lines(store: Store, since: str) -> Iterator[tuple[str, str]]:
    """Yield the rows of the final table: a name and its number."""
    for name, posts in _sums(store, since, "language", "language_counts", 10):
        yield f"language {name}", str(posts)
    for name, posts in _tags(store, since, 10):
        yield name, str(posts)
    for readings, average in store.query(AVERAGE, since=since):
        if readings:
            yield "readings of counters", str(readings)
            yield "average engagement", f"{average:.1f}"


def _sums(store: Store, since: str, column: str, table: str, rows: int) -> list[tuple[str, int]]:
    found: list[Any] = store.query(SUMS.format(column, table), since=since, n=rows)
    return found


def _tags(store: Store, since: str, rows: int) -> list[tuple[str, int]]:
    return [(f"#{tag}", posts) for tag, posts in _sums(store, since, "hashtag", "hashtag_counts", rows)]


def _bars(counts: list[tuple[str, int]]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, posts in counts:
        shown = Text(escape(name)[:20], style="bold")
        table.add_row(shown, str(posts), Text(bar(posts / counts[0][1], SHORT), "cyan"))
    return table


def _reactions(store: Store, since: str, rows: int) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("author", "score", "replies", "reblogs", "favourites"):
        table.add_column(name, justify="left" if name == "author" else "right", no_wrap=True)
    for author, *numbers in store.query(SCORES, since=since, n=rows):
        table.add_row(Text(escape(author or "")[:20], style="bold"), *(f"{number:.0f}" for number in numbers))
    return table


def _average(store: Store, since: str) -> str:
    found = store.query(AVERAGE, since=since)
    return f": {found[0][1]:.1f} on average" if found and found[0][0] else ""
