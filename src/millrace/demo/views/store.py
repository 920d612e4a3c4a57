"""Read what the demo has done so far: SQLite's rows, MongoDB's documents, both sides of a copy, and the run file."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

Rows = dict[int, str | None]


@dataclass
class Told:
    """Reads the job's run file, which need not exist yet."""

    run_file: Path

    def progress(self) -> dict[str, Any]:
        """Return the job's newest progress, {} before the first."""
        try:
            progress: dict[str, Any] = json.loads(self.run_file.read_text())
        except (OSError, ValueError):
            return {}
        return progress

    def has_read_to(self, moment: str) -> bool:
        """Return whether the job's last progress is of `moment` (ISO, UTC) or later, and left nothing unread."""
        progress = self.progress()
        return not progress.get("kafka_lag") and str(progress.get("timestamp", "")) >= moment


@dataclass
class Store(Told):
    """Reads the rows of `source` in the demo's SQLite file, which need not exist yet."""

    database: Path
    source: str

    def query(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of `sql`, none while there is no table; `sql` may name :source, too."""
        if not self.database.exists():
            return []
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=5)
        try:
            return connection.execute(sql, {"source": self.source, **values}).fetchall()
        except sqlite3.OperationalError:  # no table yet
            return []
        finally:
            connection.close()


@dataclass
class Documents(Told):
    """Reads documents of windows: `find` returns so many of the newest that start at a moment or later."""

    find: Callable[[int, datetime], list[dict[str, Any]]]

    def newest(self, count: int, since: str) -> list[dict[str, Any]]:
        """Return the `count` newest documents of windows that start at `since` (ISO, UTC) or later, newest first."""
        return self.find(count, datetime.fromisoformat(since))


@dataclass
class Labels(Told):
    """Reads labelled posts: `look` returns those of a moment (ISO, UTC) or later, as named rows by question.

    They are `counts` (label or None, posts), `newest` (text, label, score) and `reasons` (reason, posts).
    """

    look: Callable[[str, int], dict[str, list[tuple[Any, ...]]]]


@dataclass
class Sides(Told):
    """Reads both sides of copied tables.

    `look` returns how the copy stands (`cdc.state.State`), and by table the newest rows of PostgreSQL and of
    ClickHouse, each a key and a text.
    """

    look: Callable[[], tuple[Any, dict[str, tuple[Rows, Rows]]]]
