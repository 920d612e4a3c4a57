"""How a copy stands, made up, for tests of what shows it."""

from datetime import UTC, datetime
from typing import Any

from millrace.cdc.connect import Status
from millrace.cdc.lag import Slot
from millrace.cdc.sides import Count
from millrace.cdc.state import Copy, State, Wrong

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
RUNNING = Status("RUNNING", ("RUNNING",))
VERDICT = {
    "equal": False, "lsn": "0/1C604C8", "at": "2026-11-28T11:58:00+00:00", "behind": "",
    "tables": [{
        "table": "public.a", "rows": 3, "equal": 2, "differing": 1, "moving": 0, "more": False, "seconds": 0.04,
        "differences": [{"key": {"id": "7"}, "what": "different",
                         "cells": [{"column": "name", "source": "x", "target": None}]}],
    }],
}  # fmt: skip


def copy(table: str = "public.a", **values: Any) -> Copy:
    """Return a table that is equal on both sides."""
    known = {"source": Count(3), "target": Count(3), "changes": 1.5, "behind": 0.0, "changed_at": NOON}
    return Copy(table, **{**known, **values})


def state(*copies: Copy, connector: Status | None = RUNNING, wrong: tuple[Wrong, ...] = (), unread: int = 96) -> State:
    """Return a state of `copies`."""
    return State(NOON, copies, connector, Slot(True, "reserved", unread, 2 * 1024**2), wrong)
