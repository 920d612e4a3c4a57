"""The demo's live view in a terminal: top hashtags of the newest windows as bars, and how the pipeline fares."""

import io
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from millrace.logs import escape

BAR = 34  # characters of the longest bar
EIGHTHS = " ▏▎▍▌▋▊▉█"
TOP = """
SELECT hashtag, SUM(posts) AS posts, SUM(CASE WHEN window_start = :full THEN posts ELSE 0 END) AS now,
       SUM(CASE WHEN window_start = :before THEN posts ELSE 0 END) AS before
FROM hashtag_counts WHERE source = :source AND window_start >= :since
GROUP BY hashtag ORDER BY posts DESC, hashtag LIMIT :rows
"""
WINDOWS = """
SELECT DISTINCT window_start FROM hashtag_counts WHERE source = :source AND window_start >= :since ORDER BY 1 DESC
LIMIT :n
"""


@dataclass
class Store:
    """Reads what is of `source` in the demo's SQLite file, and the job's run file; neither need exist yet."""

    database: Path
    run_file: Path
    source: str

    def query(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """Return rows, none while there is no table; `sql` may name :source, too."""
        if not self.database.exists():
            return []
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=5)
        try:
            return connection.execute(sql, {"source": self.source, **values}).fetchall()
        except sqlite3.OperationalError:  # no table yet
            return []
        finally:
            connection.close()

    def windows(self, since: str, count: int) -> list[str]:
        """Return the starts of the newest `count` windows at or after `since`, newest first."""
        return [start for (start,) in self.query(WINDOWS, since=since, n=count)]

    def top(self, since: str, rows: int, full: str = "", before: str = "") -> list[tuple[str, int, int, int]]:
        """Return (hashtag, posts, posts in window `full`, posts in window `before`) since a moment, most first."""
        return self.query(TOP, since=since, rows=rows, full=full, before=before)

    def progress(self) -> dict[str, Any]:
        """Return the job's newest progress, {} before the first."""
        try:
            progress: dict[str, Any] = json.loads(self.run_file.read_text())
        except (OSError, ValueError):
            return {}
        return progress

    def has_read_to(self, moment: str) -> bool:
        """Return whether the job last looked at `moment` (ISO, UTC) or later, and left nothing unread."""
        progress = self.progress()
        return not progress.get("kafka_lag") and str(progress.get("timestamp", "")) >= moment


def render(store: Store, since: str, feed: str, waiting: str, rows: int) -> Group:
    """Return the view: hashtags of the last three windows, the last full one against that before, and the health."""
    windows = store.windows(since, 3)
    body = _hashtags(store, windows, rows) if windows else Text(waiting, style="dim")
    title = f"millrace: hashtags on {feed}" + (f", {windows[-1][11:16]} to {windows[0][11:16]} UTC" if windows else "")
    return Group(Panel(body, title=title, border_style="cyan"), health(store.progress()))


def _hashtags(store: Store, windows: list[str], rows: int) -> Table:
    full, before = windows[1:2] or [""], windows[2:3]  # the newest window is still filling
    table = Table(box=None, pad_edge=False, expand=False)
    for name in ("", "hashtag", "posts", "", "last full minute", "change"):
        table.add_column(name, justify="left" if name == "hashtag" else "right", no_wrap=True)
    table.columns[3].justify = "left"
    top = store.top(windows[-1], rows, full[0], before[0] if before else "")
    for place, (hashtag, posts, now, previous) in enumerate(top, 1):
        label = Text(f"#{escape(hashtag)}"[:30], style="bold")
        change = _change(now - previous) if before else Text("")
        table.add_row(
            str(place),
            label,
            str(posts),
            Text(bar(posts / top[0][1]), "cyan"),
            str(now) if full[0] else "",
            change,
        )
    return table


def counted(store: Store, since: str) -> bool:
    """Return whether anything was counted."""
    return bool(store.windows(since, 1))


def lines(store: Store, since: str) -> Iterator[tuple[str, str]]:
    """Yield the final table: what, and its number."""
    for hashtag, posts, *_ in store.top(since, 20):
        yield f"#{hashtag}", str(posts)


def bar(share: float, length: int = BAR) -> str:
    """Return a bar for a share of 0 to 1, to an eighth of a character, of `length` at most."""
    eighths = max(1, round(share * length * 8))
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def _change(difference: int) -> Text:
    style = "green" if difference > 0 else "red" if difference < 0 else "dim"
    return Text(f"{'▲' if difference > 0 else '▼' if difference < 0 else '='} {abs(difference)}", style)


def health(progress: dict[str, Any], what: str = "posts") -> Text:
    """Return how the job fares, in a line; `what` it reads."""
    if "batch_id" not in progress:
        return Text(" Spark is starting", style="dim")
    rate = progress.get("input_rows_per_second") or 0.0
    return Text(
        f" {rate:,.0f} {what}/s   lag {progress.get('kafka_lag') or 0:,}   batch {progress['batch_seconds']:.2f} s"
        f"   late {progress['late_rows']}   bad {progress['bad_records']}   read {progress['records']:,} records",
        style="dim",
    )


def save(path: Path, view: Group, width: int = 104) -> None:
    """Write a view as an SVG picture."""
    console = Console(record=True, width=width, file=io.StringIO())
    console.print(view)
    console.save_svg(str(path), title="make demo")
