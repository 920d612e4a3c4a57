"""What the page of the pipeline's health shows: what jobs last told, how far they are, gaps, the age of the data."""

import json
import time
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

import pandas as pd
from sqlalchemy import Engine, select

from millrace.sinks.sql import tables
from millrace.view import bounds

ALIVE = 30.0  # seconds in which a running job tells something
RUNNING = "running"
GAPS = 50
TOLD = {
    "input_rows_per_second": "rows/s", "kafka_lag": "lag", "late_rows": "late", "bad_records": "bad",
    "records": "records", "batch_seconds": "batch (s)", "watermark_lag_seconds": "watermark lag (s)",
}  # fmt: skip


def jobs(home: Path, now: float | None = None) -> pd.DataFrame:
    """Return what each run file tells: job, state (running, or for how long it is silent) and the values of TOLD."""
    files = [path for path in sorted((home / "run").glob("*.json")) if path.stem != "cdc-verify"]  # that is a verdict
    return pd.DataFrame([row for file in files if (row := _job(file, now or time.time()))])


def _job(file: Path, now: float) -> dict[str, object]:
    try:
        told, age = json.loads(file.read_text()), now - file.stat().st_mtime
    except (OSError, ValueError):  # it is being replaced, or nobody's
        return {}
    state = RUNNING if age < ALIVE else f"silent for {span(age)}"
    return {"job": told.get("job", file.stem), "state": state} | {name: told.get(key) for key, name in TOLD.items()}


def span(seconds: float) -> str:
    """Return a time in the largest unit of which it has two: 95 s, 12 min, 30 h, 3 d."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def progress(engine: Engine) -> pd.DataFrame:
    """Return table progress."""
    return bounds.frame(engine, select(tables.progress).order_by(tables.progress.c.job))


def gaps(engine: Engine) -> pd.DataFrame:
    """Return the newest gaps of feeds."""
    rows = tables.gaps
    return bounds.frame(engine, select(rows).order_by(rows.c.gap_end.desc()).limit(GAPS))


def ages(engine: Engine, there: Collection[str]) -> dict[str, datetime]:
    """Return the start of the newest window of each table among `there` that has one."""
    windowed = [table for table in tables.metadata.sorted_tables if "window_start" in table.c and table.name in there]
    found = {table.name: bounds.newest(engine, table.c.window_start) for table in windowed}
    return {name: moment for name, moment in found.items() if moment}
