"""Whether ClickHouse has what PostgreSQL had at an LSN: the connector's slot, then the topics' ends, then the job."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from kafka import TopicPartition
from sqlalchemy import Engine, text

from millrace.cdc.stream import read_to
from millrace.errors import MillraceError
from millrace.kafka import browse
from millrace.sinks.sql import database

PAUSE = 0.2  # seconds between two looks
SLOT = text(
    r"SELECT (confirmed_flush_lsn - CAST('0/0' AS pg_lsn))\:\:bigint AS lsn, active,"
    " database = current_database() AS ours FROM pg_replication_slots WHERE slot_name = :slot"
)
Ends = dict[tuple[str, int], int]  # offset behind the last record, by topic and partition


@dataclass(frozen=True)
class Stream:
    """The way from PostgreSQL to ClickHouse: a slot, topics, and a job that tells its progress below `home`."""

    source: Engine
    slot: str
    bootstrap: str
    topics: Sequence[str]
    home: Path

    def wait(self, lsn: int, seconds: float, tell: Callable[[str], object] = lambda _: None) -> str:
        """Wait until ClickHouse has what the source had at `lsn`; return why it may not have, "" when it has."""
        end = time.monotonic() + seconds
        waiting = _Waiting(self, lsn)
        told = ""
        while why := waiting.look():
            if waiting.hopeless or time.monotonic() >= end:
                return why
            if why != told:
                tell(f"waiting: {why}")
            told = why
            time.sleep(PAUSE)
        return ""


@dataclass
class _Waiting:
    stream: Stream
    lsn: int
    ends: Ends | None = None
    hopeless: bool = False  # nothing that waiting would change
    steps: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self.steps = self._look()

    def look(self) -> str:
        """Return what is waited for now, "" when there is nothing left."""
        return next(self.steps, "")

    def _look(self) -> Iterator[str]:
        while why := self._slot():
            yield why
        while why := self._topics():
            yield why
        while why := self._job():
            yield why

    def _slot(self) -> str:
        with database.errors(self.stream.source.url, "slot: "), self.stream.source.connect() as connection:
            found = connection.execute(SLOT, {"slot": self.stream.slot}).one_or_none()
        if found is None or not found.ours:
            self.hopeless = True
            return f"there is no slot {self.stream.slot}, so that nothing captures changes: `millrace cdc register`"
        if found.lsn is not None and found.lsn >= self.lsn:
            return ""
        state = "" if found.active else ", and no connector reads it: `millrace cdc register`"
        return f"slot {self.stream.slot} is behind the source{state}"

    def _topics(self) -> str:
        try:
            self.ends = ends(self.stream.bootstrap, self.stream.topics)
        except MillraceError as error:
            return str(error)
        return ""

    def _job(self) -> str:
        done = read_to(self.stream.home)
        unread = sum(max(0, end - done.get(topic, {}).get(str(n), 0)) for (topic, n), end in (self.ends or {}).items())
        if not unread:
            return ""
        self.hopeless = not _is_running(self.stream.home)
        why = ", and none runs: `millrace run cdc`" if self.hopeless else ""
        return f"the job has {unread} records to read{why}"


def ends(bootstrap: str, topics: Sequence[str]) -> Ends:
    """Return the offsets behind the last committed records of those topics that there are; raises Unavailable."""
    with browse.consumer(bootstrap) as reader:
        there = [topic for topic in topics if topic in reader.topics()]
        places = [TopicPartition(topic, n) for topic in there for n in reader.partitions_for_topic(topic) or ()]
        return {(place.topic, place.partition): end for place, end in reader.end_offsets(places).items()}


def _is_running(home: Path) -> bool:
    """Return whether a process lives that told progress below `home`; the verdict's file names none."""
    return any(psutil.pid_exists(pid) for path in home.glob("run/cdc*.json") if (pid := _pid(path)))


def _pid(path: Path) -> int:
    try:
        return int(json.loads(path.read_text())["pid"])
    except (OSError, ValueError, KeyError, TypeError):  # it is being replaced, or nobody's
        return 0
