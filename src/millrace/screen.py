"""The demo's live view in a terminal: top hashtags of the newest windows as bars, and how the pipeline fares."""

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from millrace.logs import escape

BAR = 34  # characters of the longest bar
EIGHTHS = " ▏▎▍▌▋▊▉█"
TOP = """
SELECT hashtag, SUM(posts) AS posts, SUM(CASE WHEN window_start = :newest THEN posts ELSE 0 END) AS now,
       SUM(CASE WHEN window_start = :before THEN posts ELSE 0 END) AS before
FROM hashtag_counts WHERE window_start >= :since GROUP BY hashtag ORDER BY posts DESC, hashtag LIMIT :rows
"""


@dataclass
class Store:
    """Reads the demo's SQLite file and the job's run file, neither of which need exist yet."""

    database: Path
    run_file: Path

    def query(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """Return rows, none while there is no table."""
        if not self.database.exists():
            return []
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=5)
        try:
            return connection.execute(sql, values).fetchall()
        except sqlite3.OperationalError:  # no table yet
            return []
        finally:
            connection.close()

    def windows(self, since: str, count: int) -> list[str]:
        """Return the starts of the newest `count` windows at or after `since`, newest first."""
        sql = "SELECT DISTINCT window_start FROM hashtag_counts WHERE window_start >= :since ORDER BY 1 DESC LIMIT :count"
        return [start for (start,) in self.query(sql, since=since, count=count)]

    def top(self, since: str, rows: int, newest: str = "", before: str = "") -> list[tuple[str, int, int, int]]:
        """Return (hashtag, posts, posts in window `newest`, posts in window `before`) since a moment, most first."""
        return self.query(TOP, since=since, rows=rows, newest=newest, before=before)

    def progress(self) -> dict[str, Any]:
        """Return the job's newest progress, {} before the first."""
        try:
            progress: dict[str, Any] = json.loads(self.run_file.read_text())
        except (OSError, ValueError):
            return {}
        return progress


def render(store: Store, since: str, feed: str, waiting: str, rows: int = 15) -> Group:
    """Return the whole view: hashtags of the last three windows, newest against the one before, and the health line."""
    windows = store.windows(since, 3)
    body = _hashtags(store, windows, rows) if windows else Text(waiting, style="dim")
    title = f"millrace: hashtags on {feed}" + (f", {windows[-1][11:16]} to {windows[0][11:16]} UTC" if windows else "")
    return Group(Panel(body, title=title, border_style="cyan"), _health(store.progress()))


def _hashtags(store: Store, windows: list[str], rows: int) -> Table:
    newest, before = windows[0], windows[1] if len(windows) > 1 else ""
    table = Table(box=None, pad_edge=False, expand=False)
    for name, justify in (("", "right"), ("hashtag", "left"), ("posts", "right"), ("", "left"), ("this minute", "right")):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("change", justify="right")
    top = store.top(windows[-1], rows, newest, before)
    for place, (hashtag, posts, now, previous) in enumerate(top, 1):
        name = Text(f"#{escape(hashtag)}"[:30], style="bold")
        table.add_row(str(place), name, str(posts), Text(bar(posts / top[0][1]), "cyan"), str(now), _change(now - previous))
    return table


def bar(share: float) -> str:
    """Return a bar for a share of 0 to 1, to an eighth of a character."""
    eighths = max(1, round(share * BAR * 8))
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def _change(difference: int) -> Text:
    style = "green" if difference > 0 else "red" if difference < 0 else "dim"
    return Text(f"{'▲' if difference > 0 else '▼' if difference < 0 else '='} {abs(difference)}", style)


def _health(progress: dict[str, Any]) -> Text:
    if "batch_id" not in progress:
        return Text(" Spark is starting", style="dim")
    rate = progress.get("input_rows_per_second") or 0.0
    return Text(
        f" {rate:,.0f} posts/s   lag {progress.get('kafka_lag') or 0:,}   batch {progress['batch_seconds']:.2f} s"
        f"   late {progress['late_rows']}   bad {progress['bad_records']}   counted so far {progress['records']:,} posts",
        style="dim",
    )
