"""How the copy stands: both sides of each table, the connector, its slot and the job; all of it is only read."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from millrace.cdc import connector, register, settle, sides, stream
from millrace.cdc.connect import Status
from millrace.cdc.connector import NAME, PUBLICATION
from millrace.cdc.lag import Slot
from millrace.cdc.sides import Count, Source, Target
from millrace.config import Settings
from millrace.errors import MillraceError

SILENT = 30.0  # seconds after which a job that told nothing is not running
T = TypeVar("T")


@dataclass(frozen=True)
class Copy:
    """One table: its rows on both sides, changes a second, seconds behind the source, and the newest change's time.

    What is not known is None: a server is not there, or the table is not yet.
    """

    table: str
    source: Count | None
    target: Count | None
    changes: float | None
    behind: float | None
    changed_at: datetime | None


@dataclass(frozen=True)
class Wrong:
    """Something that is not as it should be, and the command that mends it."""

    what: str
    mend: str


@dataclass(frozen=True)
class State:
    """What was found `at` a moment; `wrong` is what stands still, and why."""

    at: datetime
    copies: tuple[Copy, ...]
    connector: Status | None
    slot: Slot | None
    wrong: tuple[Wrong, ...]

    @property
    def behind(self) -> float | None:
        """How many seconds the table that is furthest behind is, None where that is not known of any."""
        known = [copy.behind for copy in self.copies]
        return None if None in known or not known else max(each for each in known if each is not None)


def look(settings: Settings) -> State:
    """Ask everybody, and say who does not answer."""
    wrong: list[Wrong] = []

    def ask(question: Callable[[], T], mend: str) -> T | None:
        try:
            return question()
        except MillraceError as error:
            wrong.append(Wrong(str(error), mend))
            return None

    source = ask(lambda: sides.source(settings), "millrace up connect") or Source({}, None)
    target = ask(lambda: sides.target(settings), "millrace up clickhouse") or {}
    status, prefix = ask(lambda: _connector(settings), "millrace up connect") or (None, connector.PREFIX)
    tables = sorted({*source.rows, *target})
    topics = {table: connector.topic(table, prefix) for table in tables}
    done = stream.read_to(settings.home)
    flows = ask(lambda: stream.flows(settings.kafka_bootstrap, topics, done), "millrace up kafka") or {}
    if not wrong:
        wrong += _still(settings.home, status, source, tables)
    wrong += lacking(target)
    running = bool(status and status.running and source.slot and source.slot.active)
    copies = tuple(
        Copy(
            table,
            source.rows.get(table),
            target[table].rows if table in target else None,
            flows[table].changes if table in flows else None,
            _behind(flows.get(table), running=running),
            target[table].changed_at if table in target else None,
        )
        for table in tables
    )
    return State(datetime.now(UTC), copies, status, source.slot, tuple(wrong))


def lacking(target: Mapping[str, Target]) -> list[Wrong]:
    """Return which tables have rows that lack large values."""
    return [
        Wrong(settle.lack(table, found.lacking), f"millrace cdc snapshot {table}")
        for table, found in target.items()
        if found.lacking
    ]


def _connector(settings: Settings) -> tuple[Status | None, str]:
    """Return the connector's status and the prefix of its topics."""
    worker = register.worker(settings)
    found: Mapping[str, str] = worker.config(NAME) or {}
    return worker.status(NAME) if found else None, found.get("topic.prefix", connector.PREFIX)


def _behind(flow: stream.Flow | None, *, running: bool) -> float | None:
    """Return the age of what is unread; without a connector nobody knows what else there is."""
    return None if flow is None or (flow.unread == 0 and not running) else flow.age


def _still(home: Path, status: Status | None, source: Source, tables: list[str]) -> list[Wrong]:
    """Return what of all that answered stands still."""
    found = []
    if status is None:
        found.append(
            Wrong(f"there is no connector {NAME}", "millrace cdc register --tables schema.table,... or --demo")
        )
    elif not status.running:
        why = f": {status.reason}" if status.failed else ""
        found.append(Wrong(f"the connector {NAME} is {status}{why}", "millrace cdc register"))
    elif source.slot is None:
        found.append(Wrong("the replication slot is not there", "millrace cdc register --resnapshot"))
    elif lost := [table for table in tables if table not in source.rows]:
        found.append(Wrong(f"the publication {PUBLICATION} lacks {', '.join(lost)}", "millrace cdc register"))
    files = [path for path in home.glob("run/cdc*.json") if path.stem != "cdc-verify"]
    age = time.time() - max((path.stat().st_mtime for path in files), default=0.0)
    if tables and age > SILENT:
        said = "has not told anything yet" if not files else f"has told nothing for {age:.0f} s"
        found.append(Wrong(f"the job cdc {said}", f"millrace run cdc --tables {','.join(tables)}"))
    return found
