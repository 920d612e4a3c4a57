"""Read what the demo has counted so far: rows of its SQLite file, and the progress in the job's run file."""

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Store:
    """Reads the rows of `source` in the demo's SQLite file, and the job's run file; neither needs to exist yet."""

    database: Path
    run_file: Path
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
