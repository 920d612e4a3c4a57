"""What the page of replication shows: the copied tables on both sides, how far behind they are, the last verdict."""

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from millrace import config
from millrace.cdc.lag import Slot
from millrace.cdc.state import State
from millrace.cdc.watch import Moment, Watch
from millrace.view import health

KIB, MIB = 1024, 1024**2
DEMO = "public.demo_table1,public.demo_table2"


@cache
def watch(home: Path) -> Watch:
    """Return what looks for all readers of the page."""
    return Watch(config.load(home=home))


def is_used(home: Path) -> bool:
    """Return whether a job has copied anything in this home; asks no server."""
    return any(home.glob("run/cdc*.json"))


def copies(state: State) -> pd.DataFrame:
    """Return a row for each copied table; what is not known is missing."""
    rows = [
        {
            "table": each.table,
            "in_PostgreSQL": each.source and each.source.rows,
            "in_ClickHouse": each.target and each.target.rows,
            "changes_a_second": each.changes,
            "seconds_behind": each.behind,
            "newest_change": each.changed_at,
        }
        for each in state.copies
    ]
    found = pd.DataFrame(rows)
    found["newest_change"] = pd.to_datetime(found["newest_change"], utc=True)
    found = found.astype(dict.fromkeys(("in_PostgreSQL", "in_ClickHouse"), "Int64"))
    return found.astype(dict.fromkeys(("changes_a_second", "seconds_behind"), "float")).round(1)


def is_estimated(state: State) -> bool:
    """Return whether a table is so large that its rows were not counted."""
    counts = [count for each in state.copies for count in (each.source, each.target)]
    return not all(count.exact for count in counts if count)


def past(moments: list[Moment]) -> pd.DataFrame:
    """Return how far behind the copy was: `window_start` as charts want it, seconds_behind, KiB_not_confirmed."""
    rows = [(each.at, each.seconds, None if each.unread is None else each.unread / KIB) for each in moments]
    found = pd.DataFrame(rows, columns=["window_start", "seconds_behind", "KiB_not_confirmed"])
    return found.astype({"seconds_behind": float, "KiB_not_confirmed": float}).round(2)


def figures(state: State, verdict: dict[str, Any] | None, now: datetime | None = None) -> dict[str, str]:
    """Return what is told at the top."""
    return {
        "seconds behind": "not known" if state.behind is None else f"{state.behind:.1f}",
        "connector": str(state.connector.state).lower() if state.connector else "not seen",
        "log not confirmed": _size(state.slot, "unread"),
        "log kept on the disk": _size(state.slot, "kept"),
        "last verify": _said(verdict, now or datetime.now(UTC)) if verdict else "none yet",
    }


def verdict(home: Path) -> dict[str, Any] | None:
    """Return what `millrace cdc verify` said last, None where it said nothing yet."""
    try:
        found: dict[str, Any] = json.loads((home / "run" / "cdc-verify.json").read_text())
        datetime.fromisoformat(found["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found


def compared(verdict: dict[str, Any]) -> pd.DataFrame:
    """Return a row for each table of a verdict."""
    names = ["table", "rows", "equal", "differing", "moving", "seconds"]
    return pd.DataFrame(verdict["tables"])[names].rename(columns={"moving": "in_motion"}).round(1)


def differences(verdict: dict[str, Any]) -> pd.DataFrame:
    """Return a row for each difference that a verdict lists."""
    rows = [
        {
            "table": table["table"],
            "key": ", ".join(f"{name}={text}" for name, text in each["key"].items()),
            "in_ClickHouse": each["what"],
            "columns": ", ".join(cell["column"] for cell in each["cells"]),
        }
        for table in verdict["tables"]
        for each in table["differences"]
    ]
    return pd.DataFrame(rows)


def _said(verdict: dict[str, Any], now: datetime) -> str:
    moment = datetime.fromisoformat(verdict["at"])
    differing = sum(table["differing"] for table in verdict["tables"])
    word = "equal" if verdict["equal"] else f"{differing:,} differ"
    return f"{word}, {health.span((now - moment).total_seconds())} ago"


def _size(slot: Slot | None, name: str) -> str:
    return f"{getattr(slot, name) / MIB:,.1f} MiB" if slot else "no slot"
