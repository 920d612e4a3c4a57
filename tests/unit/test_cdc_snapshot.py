"""What the connector tells of a snapshot, and when that ends."""

from types import SimpleNamespace
from typing import Any

import pytest

from millrace.cdc import snapshot
from millrace.errors import ConfigError

RUNS: Any = SimpleNamespace(status=lambda _: SimpleNamespace(running=True))


def note(kind: str, **told: str) -> dict[str, Any]:
    return {"id": "1", "type": kind, "additional_data": told}


def test_the_rows_of_all_tables_are_counted() -> None:
    told: list[str] = []
    notes = [
        note("STARTED"), None, note("DATA_COLLECTIONS_RESOLVED", data_collections="a.b,a.c"),
        note("IN_PROGRESS", current_collection_in_progress="a.b", last_processed_key="[5]", maximum_key="[9]"),
        note("TABLE_SCAN_COMPLETED", scanned_collection="a.b", total_rows_scanned="9", status="SUCCEEDED"),
        note("TABLE_SCAN_COMPLETED", scanned_collection="a.c", total_rows_scanned="0", status="EMPTY"),
        note("COMPLETED"),
    ]  # fmt: skip
    assert snapshot._follow(RUNS, iter(notes), told.append) == 9
    assert told == ["a.b: up to key [5] of [9]", "a.b: all 9 rows", "a.c: all 0 rows"]


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (
            note("TABLE_SCAN_COMPLETED", scanned_collection="a.b", status="SQL_EXCEPTION"),
            "a.b was not read: SQL_EXCEPTION",
        ),
        (note("ABORTED"), "the snapshot was ended: aborted"),
        (note("DATA_COLLECTIONS_RESOLVED", data_collections=""), "Debezium finds no such table"),
    ],
    ids=["failed", "ended", "not understood"],
)
def test_what_would_never_end_is_told(end: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        snapshot._follow(RUNS, iter([note("STARTED"), end, *[None] * 3]), lambda _: None)
