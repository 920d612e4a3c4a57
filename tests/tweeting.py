"""Tweets of the generator as they stand in Kafka, and the documents of their windows, made without code of the jobs."""

import hashlib
import json
import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from millrace.config import Settings
from millrace.simulate.talk import Talk
from millrace.simulate.tweets import Generator
from millrace.sinks.mongodb import cluster

COLLECTION = "twitter_db.twitter_collection"
NUMBERS = ("total_cases_count", "total_deaths_count", "total_recovered_count", "new_cases_count",
           "new_deaths_count", "new_recovered_count", "active_cases_count", "critical_cases_count")  # fmt: skip
BESIDE = (*NUMBERS, "country", "as_of", "source_url")
Line = dict[str, Any]
Document = dict[str, Any]


@dataclass
class Told:
    """Tweets under a `source` of their own, so that the collection that all share does not mix them."""

    talk: Talk
    source: str = field(default_factory=lambda: f"told-{uuid.uuid4().hex[:8]}")

    def __post_init__(self) -> None:
        _, *self.lines = Generator(self.talk).lines()

    def records(self, *, copies: float = 0.0, noise: float = 0.0, seed: int = 1) -> list[tuple[bytes, int]]:
        """Return (value, milliseconds), shuffled; `copies` of them twice, and beside them what counts nowhere."""
        draw = random.Random(seed)
        made = [record(line, self.source) for line in self.lines]
        made += [each for each in made if draw.random() < copies]
        for line in self.lines:
            if draw.random() < noise:
                made.append((b"{", moment_ms(line)))
                made.append(record(line | {"id": f"x{line['id']}"}, self.source, "delete"))
        draw.shuffle(made)
        return made

    def right(self, numbers: Line, **options: Any) -> list[Document]:
        """Return the documents with `numbers` (BESIDE) in each, sorted by window."""
        return [each | numbers for each in windows(self.lines, self.source, **options)]

    def stored(self, settings: Settings) -> list[Document]:
        """Return what MongoDB holds of them, sorted by window."""
        collection = cluster.collection(settings.store_url("mongodb"), COLLECTION)
        return sorted(collection.find({"source": self.source}), key=lambda each: each["window_start"])


def windows(
    lines: Iterable[Line], source: str, *, seconds: int = 20, most: int = 1000, top: int = 10
) -> list[Document]:
    """Return the documents of tweets, without the numbers beside them."""
    gathered: defaultdict[datetime, list[Line]] = defaultdict(list)
    for line in lines:
        at = datetime.fromisoformat(line["event_time"])
        gathered[datetime.fromtimestamp(at.timestamp() // seconds * seconds, UTC)].append(line)
    return [
        _document(source, (start, start + timedelta(seconds=seconds)), found, most, top)
        for start, found in sorted(gathered.items())
    ]


def _document(source: str, window: tuple[datetime, datetime], lines: list[Line], most: int, top: int) -> Document:
    start, end = window
    times = [f"{each:%Y-%m-%dT%H:%M:%S}.000000Z" for each in window]
    name = hashlib.sha256("|".join([source, *times]).encode()).hexdigest()
    texts = [line["text"] for line in sorted(lines, key=lambda line: (line["event_time"], line["id"]))]
    used = Counter(tag for line in lines for tag in set(line["hashtags"]))
    ranked = sorted(used.items(), key=lambda item: (-item[1], item[0]))[:top]
    return {
        "_id": name, "hash": name, "source": source, "window_start": start, "window_end": end,
        "timestamp": f"{end:%Y-%m-%dT%H:%M:%S}Z", "tweets": len(lines), "content": texts[:most],
        "cut": max(0, len(texts) - most),
        "hashtags": [{"hashtag": tag, "tweets": count} for tag, count in ranked],
    }  # fmt: skip


def moment_ms(line: Line) -> int:
    return round(datetime.fromisoformat(line["event_time"]).timestamp() * 1000)


def record(line: Line, source: str, operation: str = "create") -> tuple[bytes, int]:
    known = {name: line[name] for name in ("id", "event_time", "text", "hashtags")}
    value = known | {"event_id": line["id"], "source": source, "operation": operation}
    return json.dumps(value, ensure_ascii=False).encode(), moment_ms(line)
