"""Posts of Mastodon as Kafka has them, with texts of one's own, and what stands of them in ClickHouse."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from millrace.config import Settings
from millrace.sinks.clickhouse import client
from tests.support import new_topic, send

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
Record = tuple[bytes, int]


def post(name: str | int, text: str | None, seconds: float = 0, **more: Any) -> Record:
    """A post, as it was `seconds` after noon; `more` are its other fields."""
    at = NOON + timedelta(seconds=seconds)
    fields = {
        "id": f"https://a.example/{name}",
        "event_id": f"{name}/{seconds}",
        "source_id": str(name),
        "source": "mastodon",
        "event_time": at.isoformat(),
        "created_at": NOON.isoformat(),
        "text": text,
        "language": "en",
        "hashtags": [],
        "operation": "create",
        "author": {"id": "a", "username": "alice", "bot": False},
    }
    return json.dumps(fields | more).encode(), int(at.timestamp() * 1000)


def topic_of(settings: Settings, records: Iterable[Record]) -> str:
    """A new topic with these posts."""
    topic = new_topic(settings.kafka_bootstrap)
    send(settings.kafka_bootstrap, topic, list(records))
    return topic


def rows(url: str, table: str = "mastodon_sentiment", columns: str = "*") -> list[dict[str, Any]]:
    """The rows of a table or view."""
    asked = f"SELECT {columns} FROM {table}"
    return list(client.connect(url).query(asked).named_results())


def labels(url: str, table: str = "mastodon_sentiment") -> dict[str, tuple[str | None, str | None]]:
    """The label, and the reason why none, of each post by the last part of its id."""
    found = rows(url, table, "post_id, sentiment, error")
    assert len({row["post_id"] for row in found}) == len(found)
    return {row["post_id"].rpartition("/")[2]: (row["sentiment"], row["error"]) for row in found}
