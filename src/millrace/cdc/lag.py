"""`millrace cdc lag`: how far the connector is behind PostgreSQL, and the job behind the connector."""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka import TopicPartition

from millrace.cdc import connector, postgres
from millrace.cdc.connect import Connect, Status
from millrace.cdc.connector import NAME, SLOT
from millrace.cdc.postgres import Connection
from millrace.config import Settings
from millrace.kafka import browse

PROBED_WITHIN = 15.0  # seconds until a connector counts as further behind than that
POLL = 200  # milliseconds
PROBE = "SELECT pg_logical_emit_message(true, 'probe', %s)"
SLOTS = """
SELECT active, wal_status, pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint AS unread,
  pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint AS kept
FROM pg_replication_slots WHERE slot_name = %s
"""


@dataclass(frozen=True)
class Slot:
    """Of the replication slot: `unread` bytes of log are not confirmed, `kept` bytes lie on the disk for it."""

    active: bool
    state: str
    unread: int
    kept: int


@dataclass(frozen=True)
class Lag:
    """Who is how far behind; None: not there, or not known.

    `seconds`: how long a change that was made just now took into Kafka; infinite where it did not come in time.
    `records`: by table, those in Kafka that the job has not read.
    """

    status: Status | None
    slot: Slot | None
    seconds: float | None
    records: dict[str, int] | None


def lag(settings: Settings, connect: Connect, *, probe: bool = True) -> Lag:
    """Ask everybody. `probe`: send a message through PostgreSQL's log, which writes to no table, and wait for it."""
    found = connect.config(NAME) or {}
    status = connect.status(NAME)
    with postgres.connection(postgres.source(settings)) as source:
        seconds = None
        if probe and status and status.running:
            seconds = _seconds(settings, source, found.get("topic.prefix", connector.PREFIX))
        return Lag(status, slot(source), seconds, unread(settings, connector.tables(found), found.get("topic.prefix")))


def slot(source: Connection) -> Slot | None:
    """Return what PostgreSQL keeps for the connector."""
    row = source.execute(SLOTS.encode(), [SLOT]).fetchone()
    return Slot(row["active"], row["wal_status"], row["unread"] or 0, row["kept"] or 0) if row else None


def unread(settings: Settings, tables: Sequence[str], prefix: str | None) -> dict[str, int] | None:
    """Return, by table, how many records of its topic the job has not read; None where no job has begun."""
    done = _read(settings.home)
    if done is None:
        return None
    topics = {table: connector.topic(table, prefix or connector.PREFIX) for table in tables}
    with browse.consumer(settings.kafka_bootstrap) as reader:
        there = reader.topics()
        places = [
            TopicPartition(topic, number)
            for topic in topics.values()
            if topic in there
            for number in reader.partitions_for_topic(topic) or ()
        ]
        begins, ends = reader.beginning_offsets(places), reader.end_offsets(places)
    behind = {
        place: ends[place] - done.get(place.topic, {}).get(str(place.partition), begins[place]) for place in places
    }
    return {table: sum(behind[each] for each in places if each.topic == topic) for table, topic in topics.items()}


def _read(home: Path) -> dict[str, dict[str, int]] | None:
    """Return, by topic and partition, up to where the job `cdc` has read: from the newest batch of its checkpoints."""
    batches = [path for path in home.glob("checkpoints/cdc*/offsets/*") if path.name.isdecimal()]
    if not batches:
        return None
    newest = max(batches, key=lambda path: (path.stat().st_mtime, int(path.name)))
    found: dict[str, dict[str, int]] = {}
    for line in newest.read_text().splitlines()[2:]:  # after version and settings, a line for each source
        found |= json.loads(line) if line.startswith("{") else {}
    return found


def _seconds(settings: Settings, source: Connection, prefix: str) -> float:
    """Return how long a message took through PostgreSQL's log and the connector into Kafka."""
    topic, mark = f"{prefix}.message", uuid.uuid4().hex
    with browse.consumer(settings.kafka_bootstrap) as reader:
        ends = _ends(reader, topic)
        begin = time.monotonic()
        source.execute(PROBE, [mark])
        while (passed := time.monotonic() - begin) < PROBED_WITHIN:
            if not reader.assignment() and (places := _ends(reader, topic)):
                reader.assign(list(places))
                for place in places:
                    reader.seek(place, ends.get(place, 0))
            if not reader.assignment():
                time.sleep(POLL / 1000)
                continue
            for batch in reader.poll(POLL).values():
                if any(_marked(record.value, mark) for record in batch):
                    return time.monotonic() - begin
        return float("inf") if passed else 0.0


def _ends(reader: Any, topic: str) -> dict[TopicPartition, int]:
    numbers = reader.partitions_for_topic(topic) if topic in reader.topics() else None
    ends: dict[TopicPartition, int] = reader.end_offsets([TopicPartition(topic, each) for each in numbers or ()])
    return ends


def _marked(value: bytes | None, mark: str) -> bool:
    import base64

    message = (json.loads(value or b"{}").get("message") or {}).get("content") or ""
    return base64.b64decode(message) == mark.encode()
