"""Draw the copy of PostgreSQL in ClickHouse: rows of both sides, the newest side by side, and how far it is behind."""

from collections.abc import Iterator
from typing import Any

from rich.columns import Columns
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from millrace.demo.views.store import Rows, Sides
from millrace.demo.views.widgets import health
from millrace.logs import escape

WIDE = 19  # characters of a value
MIB = 1024**2


def render(store: Sides, since: str, feed: str, waiting: str, rows: int) -> Group:
    """Return the view of both sides, or `waiting` before anything was copied."""
    state, newest = store.look()
    title = f"millrace: {feed} into ClickHouse since {since[11:16]} UTC"
    if not _copied(state):
        return Group(Panel(Text(waiting, style="dim"), title=title), health(store.progress(), "changes"))
    panels = [
        Panel(_newest(*sides, rows), title=f"newest of {escape(table.partition('.')[2])}", border_style="cyan")
        for table, sides in newest.items()
    ]
    top = Panel(Group(_copies(state), Text(_source(state), "dim")), title=title, border_style="cyan")
    return Group(top, Columns(panels), health(store.progress(), "changes"))


def counted(store: Sides, since: str) -> bool:
    """Return whether anything was copied."""
    return _copied(store.look()[0])


def lines(store: Sides, since: str) -> Iterator[tuple[str, str]]:
    """Yield the rows of the final table: each table with its rows on both sides."""
    state, _ = store.look()
    for copy in state.copies if _copied(state) else ():
        yield copy.table, f"{copy.source} rows in PostgreSQL, {copy.target} in ClickHouse"


def _copied(state: Any) -> bool:
    return any(copy.target and copy.target.rows for copy in state.copies)


def _copies(state: Any) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("table", "PostgreSQL", "ClickHouse", "changes/s", "behind", "newest change"):
        table.add_column(name, justify="left" if name == "table" else "right", no_wrap=True)
    for copy in state.copies:
        behind = "-" if copy.behind is None else f"{copy.behind:.1f} s"
        changes = "-" if copy.changes is None else f"{copy.changes:.1f}"
        moment = f"{copy.changed_at:%H:%M:%S}" if copy.changed_at else "-"
        counts = (str(copy.source or "-"), str(copy.target or "-"))
        table.add_row(Text(escape(copy.table), "bold"), *counts, changes, behind, moment)
    return table


def _newest(source: Rows, target: Rows, rows: int) -> Table:
    """Lay out the newest rows of both sides, by key; what is not equal at this moment is marked."""
    table = Table(box=None, pad_edge=False)
    table.add_column("id", justify="right")
    for name in ("PostgreSQL", "ClickHouse"):
        table.add_column(name, no_wrap=True, width=WIDE)
    for key in sorted(source.keys() | target.keys(), reverse=True)[:rows]:
        same = key in source and key in target and source[key] == target[key]
        table.add_row(Text(str(key), "bold"), _cell(source, key), _cell(target, key), style="" if same else "yellow")
    return table


def _cell(rows: Rows, key: int) -> Text:
    if key not in rows:
        return Text("-")
    text = rows[key]
    return Text("NULL", "dim") if text is None else Text(escape(text)[:WIDE])


def _source(state: Any) -> str:
    connector = str(state.connector.state).lower() if state.connector else "not there"
    slot = f"{state.slot.unread / MIB:.2f} MiB of log not confirmed" if state.slot else "no replication slot"
    return f"connector {connector}, {slot}"
