"""Draw sentiment in the terminal: the share of each label as bars, newest posts, and posts without a label."""

from collections.abc import Iterator
from typing import Any

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from millrace.demo.views.store import Labels
from millrace.demo.views.widgets import bar, health
from millrace.logs import escape

STYLES = {"positive": "blue", "neutral": "bright_black", "negative": "dark_orange"}  # as on the page
WIDE = 78  # characters of a text


def render(store: Labels, since: str, feed: str, waiting: str, rows: int) -> Group:
    """Return the view of posts from `since` on, or `waiting` before there are any."""
    title = f"millrace: sentiment of {feed} since {since[11:16]} UTC"
    found = store.look(since, rows)
    if not found["counts"]:
        return Group(Panel(Text(waiting, style="dim"), title=title), health(store.progress()))
    panels = [
        Panel(_shares(dict(found["counts"])), title=title, border_style="cyan"),
        Panel(_newest(found["newest"]), title="newest posts with a label", border_style="cyan"),
    ]
    if found["reasons"]:
        panels.append(Panel(_reasons(found["reasons"]), title="without a label", border_style="cyan"))
    return Group(*panels, health(store.progress()))


def counted(store: Labels, since: str) -> bool:
    """Return whether any post has a row."""
    return bool(store.look(since, 1)["counts"])


def lines(store: Labels, since: str) -> Iterator[tuple[str, str]]:
    """Yield the rows of the final table: posts of each label, and those without by reason."""
    found = store.look(since, 20)
    counts = dict(found["counts"])
    for label in STYLES:
        if counts:
            yield label, f"{counts.get(label, 0):,}"
    for reason, posts in found["reasons"]:
        yield f"without a label: {reason}", f"{posts:,}"


def _shares(counts: dict[str | None, int]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    labelled = sum(counts.get(label, 0) for label in STYLES)
    for label, style in STYLES.items():
        posts = counts.get(label, 0)
        share = posts / labelled if labelled else 0.0
        table.add_row(Text(label, "bold"), f"{posts:,}", f"{share:.0%}", Text(bar(share) if posts else "", style))
    return table


def _newest(rows: list[tuple[Any, ...]]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    table.add_column(no_wrap=True, max_width=WIDE, overflow="ellipsis")
    for text, label, score in rows:
        number = "" if score is None else f"{score:.2f}"
        table.add_row(Text(label, STYLES[label]), number, Text(escape(" ".join((text or "").split()))))
    return table


def _reasons(rows: list[tuple[Any, ...]]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for reason, posts in rows:
        table.add_row(Text(escape(reason)), f"{posts:,}")
    return table
