"""What commands show: tables on stdout, progress bars on stderr."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape as rich_escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from millrace.logs import escape, say


def grid(rows: list[dict[str, Any]], empty: str) -> Table | str:
    """Lay rows out as a table; `empty` where there are none. Control characters are spelled out."""
    if not rows:
        return empty
    table = Table()
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(escape("" if value is None else str(value))) for value in row.values()))
    return table


@contextmanager
def bar(label: str, total: int, unit: str) -> Iterator[Callable[[int], None]]:
    """Show a progress bar of `total` on a terminal; the block calls what it gets with what it has done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task(label, total=total)
        yield lambda count: bars.advance(task, count)


@contextmanager
def line(label: str) -> Iterator[Callable[[str], None]]:
    """Show one line that changes, on a terminal; elsewhere a line each time that it says something new."""
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status(label) as status:
            yield lambda text: status.update(f"{label}: {rich_escape(escape(text))}")
        return
    told = [""]

    def tell(text: str) -> None:
        if text != told[-1]:
            told.append(text)
            say(f"{label}: {text}")

    yield tell
