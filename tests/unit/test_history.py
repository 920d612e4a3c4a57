"""What a restart of the Mastodon adapter takes from its topic."""

import json
from types import SimpleNamespace

import pytest

from millrace.ingest.mastodon import history
from millrace.ingest.mastodon.memory import Memory

NOON = 1_767_268_800_000_000  # 2026-01-01T12:00:00Z
HOUR = 3_600_000_000
TIMER = [5000.0]  # seconds, monotonic


def record(source_id: str, operation: str = "create", time: str = "11:30", instance: str = "one.example") -> object:
    told = {"id": f"https://home/{source_id}", "source_id": source_id, "instance": instance, "operation": operation,
            "created_at": f"2026-01-01T{time}:00Z" if operation == "create" else None, "text": "more"}  # fmt: skip
    return SimpleNamespace(value=json.dumps(told).encode())


@pytest.fixture
def memories(monkeypatch: pytest.MonkeyPatch) -> dict[str, Memory]:
    """The memories of two instances after they were told of a topic."""
    asked = []
    told = [record("2", time="11:45"), record("1"), record("3"), record("3", "delete"), record("4", "update"),
            SimpleNamespace(value=b"nonsense"), SimpleNamespace(value=None), record("5", instance="two.example"),
            record("6", instance="elsewhere")]  # fmt: skip
    monkeypatch.setattr(history, "records_since", lambda *place: asked.append(place) or told)
    made = {"https://one.example": Memory((1800.0,), lambda: TIMER[0]), "https://two.example": Memory((1800.0,))}
    assert history.recall("broker:9092", made, 3600.0, NOON) == 3
    assert asked == [("broker:9092", "Mastodon_stream", (NOON - HOUR) // 1000)]
    return made


def test_each_instance_has_its_posts_that_are_not_deleted(memories: dict[str, Memory]) -> None:
    one, two = memories.values()
    assert [one.uri(each) for each in "12345"] == ["https://home/1", "https://home/2", None, None, None]
    assert [two.uri(each) for each in "15"] == [None, "https://home/5"]


def test_they_are_due_as_before(memories: dict[str, Memory]) -> None:
    one = memories["https://one.example"]
    TIMER[0] -= 1
    assert one.take(9) == []
    TIMER[0] += 1
    assert one.take(9) == [(NOON, "1")]
    TIMER[0] += HOUR / 4 / 1_000_000
    assert one.take(9) == [(NOON + HOUR // 4, "2")]
