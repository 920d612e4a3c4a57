"""`millrace cdc lag`: how far the connector is behind PostgreSQL, and the job behind the connector."""

import base64
import json
import math
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kafka import TopicPartition

from millrace.cdc import connector, postgres, tail
from millrace.cdc.connect import Connect, Status
from millrace.cdc.connector import NAME, SLOT
from millrace.cdc.postgres import Connection
from millrace.config import Settings
from millrace.kafka import browse
from millrace.kafka.avro import to_json

PROBED_WITHIN = 15.0  # seconds until a connector counts as further behind than that
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

    def told(self) -> dict[str, str]:
        """Return it in words."""
        return {
            "slot": f"{'read' if self.active else 'NOBODY READS IT'}, {self.state}",
            "log not confirmed": f"{self.unread / 1024**2:.1f} MiB",
            "log kept on the disk": f"{self.kept / 1024**2:.1f} MiB",
        }


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

    def rows(self) -> list[dict[str, str]]:
        """Return the lines of the report."""
        late = self.seconds is not None and math.isinf(self.seconds)
        behind = f"more than {PROBED_WITHIN:.0f} s" if late else f"{self.seconds or 0:.1f} s"
        told = {
            "connector": str(self.status or "not there"),
            "change to Kafka": "not known" if self.seconds is None else behind,
            **(self.slot.told() if self.slot else {"slot": "not there"}),
        }
        if self.records is None:
            told["records the job has not read"] = "no job has begun"
        else:
            told |= {f"{table}: records the job has not read": str(count) for table, count in self.records.items()}
        return [{"what": what, "found": found} for what, found in told.items()]


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
    done = read_to(settings.home)
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


def read_to(home: Path) -> dict[str, dict[str, int]] | None:
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
        batches = tail.follow(reader, topic, tail.ends(reader, topic))
        begin = time.monotonic()
        source.execute(PROBE.encode(), [mark])
        while time.monotonic() < begin + PROBED_WITHIN:
            if any(_content(record.value, settings) == mark.encode() for record in next(batches)):
                return time.monotonic() - begin
    return math.inf


def _content(value: bytes | None, settings: Settings) -> bytes:
    told = json.loads(to_json(value or b"{}", settings.registry_url or ""))
    return base64.b64decode((told.get("message") or {}).get("content") or "")
