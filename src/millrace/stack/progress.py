"""What the user sees while waiting: a bar on a terminal, single lines elsewhere, always on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import filesize
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from millrace.logs import say


@contextmanager
def progress(label: str, count: int, total: int) -> Iterator[Callable[[int], None]]:
    """Show a download of `count` files and `total` bytes; the block calls what it gets with new bytes."""
    console = Console(stderr=True)
    if not console.is_terminal:
        say(f"downloading {label}: {count} file{'s' * (count > 1)}, {filesize.decimal(total)}")
        yield lambda size: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(f"downloading {label}", total=total)
        yield lambda size: bars.advance(task, size)
