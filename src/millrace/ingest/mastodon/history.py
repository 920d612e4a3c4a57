"""Restore the memory of an instance's posts from the topic, so that a restart loses neither revisits nor deletes."""

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlsplit

import msgspec

from millrace.ingest.committed import records_since
from millrace.ingest.events import SECOND
from millrace.ingest.mastodon.memory import Memory
from millrace.ingest.values import micros
from millrace.kafka.topics import MASTODON


class _Told(msgspec.Struct):
    """The fields of post.v1 that are needed."""

    id: str
    source_id: str
    instance: str
    operation: str
    created_at: datetime | None = None


def recall(bootstrap: str, memories: Mapping[str, Memory], seconds: float, now: int) -> int:
    """Fill `memories`, by instance URL, with the posts written in the last `seconds`; returns how many there are.

    `now` is the ingest clock in microseconds. Raises Unavailable when Kafka does not answer.
    """
    since = now - int(seconds * SECOND)
    by_name = {urlsplit(url).netloc: memory for url, memory in memories.items()}
    found: dict[tuple[str, str], tuple[int, str]] = {}
    decoder = msgspec.json.Decoder(_Told)
    for record in records_since(bootstrap, MASTODON.name, since // 1000):
        try:
            told = decoder.decode(record.value or b"")
        except msgspec.DecodeError:  # written by another program
            continue
        place = told.instance, told.source_id
        if told.operation == "delete":
            found.pop(place, None)
        elif told.operation == "create" and told.created_at and told.instance in by_name:
            found[place] = micros(told.created_at), told.id
    for (name, status_id), (created, uri) in sorted(found.items(), key=lambda each: each[1]):
        by_name[name].add(status_id, uri, created, now)
    return len(found)
