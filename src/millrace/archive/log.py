"""What of an archived topic counts: a log of small files, written after the data, that names every whole batch.

A folder that no entry names is a leftover of a writer that was killed, and nobody reads it. An entry of a compaction
names the parts of one hour that its own part stands for, so that the exchange happens at once.
"""

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from millrace.archive.files import Exists, Files
from millrace.errors import MillraceError
from millrace.kafka import times

LOG = "_log"
BASE = "base"
COMPACT = "compact"
PARALLEL = 8

Ranges = dict[int, list[tuple[int, int]]]  # partition: [first, one beyond the last], in order


@dataclass(frozen=True)
class Part:
    """The rows of one batch in one hour: the folder `hour`/batch_id=`id`."""

    hour: str  # date=2026-11-22/hour=10, UTC
    id: str
    format: str  # jsonl or parquet
    rows: int

    @property
    def folder(self) -> str:
        """Its folder below the topic's."""
        return f"{self.hour}/batch_id={self.id}"


@dataclass(frozen=True)
class Entry:
    """One batch: its number within its generation (a checkpoint's life), what it read and what it wrote."""

    generation: str
    number: int
    offsets: Mapping[int, tuple[int, int]]
    parts: list[Part]
    replaces: list[str] = field(default_factory=list)  # ids, in the hour of the only part
    at: str = ""  # when it was written, ISO 8601 in UTC; entries of earlier versions do not say

    @property
    def id(self) -> str:
        """What its folders are called."""
        return f"{self.generation}-{self.number}"


class State:
    """What the entries say together."""

    def __init__(self, folded: dict[str, int], offsets: Ranges, parts: Iterable[Part], until: str = "") -> None:
        self.folded, self.offsets = folded, offsets  # folded: the highest number of each generation in the base
        self.until = until  # when the newest batch was written, "" where no entry says so
        self.parts = {(part.hour, part.id): part for part in parts}
        self.known: set[str] = set()  # ids beyond the base
        self.overlaps: list[str] = []  # what was archived twice

    def has(self, generation: str, number: int) -> bool:
        """Return whether that batch is in the archive."""
        return number <= self.folded.get(generation, -1) or f"{generation}-{number}" in self.known

    def add(self, entry: Entry) -> None:
        """Take an entry in; one that is there already changes nothing."""
        if self.has(entry.generation, entry.number):
            return
        self.known.add(entry.id)
        self.until = max(self.until, entry.at)
        for partition, (first, end) in entry.offsets.items():
            if self._overlaps(partition, first, end):
                self.overlaps.append(f"partition {partition}: {first} to {end} by {entry.id}")
            self.offsets[partition] = merge([*self.offsets.get(partition, []), (first, end)])
        for part in entry.parts:
            for replaced in entry.replaces:
                self.parts.pop((part.hour, replaced), None)
            self.parts[part.hour, part.id] = part

    def next(self) -> dict[int, int]:
        """Return one beyond the highest archived offset of each partition."""
        return {partition: ranges[-1][1] for partition, ranges in self.offsets.items() if ranges}

    def gaps(self) -> dict[int, list[tuple[int, int]]]:
        """Return the offsets between archived ranges, [first, one beyond the last], by partition."""
        found = {
            partition: [(before[1], after[0]) for before, after in pairwise(ranges)]
            for partition, ranges in self.offsets.items()
        }
        return {partition: gaps for partition, gaps in sorted(found.items()) if gaps}

    def hours(self) -> dict[str, list[Part]]:
        """Return the parts by hour, the hours in the order of time."""
        found: dict[str, list[Part]] = {}
        for key in sorted(self.parts, key=lambda key: (begin(key[0]), key[1])):
            found.setdefault(key[0], []).append(self.parts[key])
        return found

    def _overlaps(self, partition: int, first: int, end: int) -> bool:
        return any(low < end and first < high for low, high in self.offsets.get(partition, []))


class Log:
    """The log of one archived topic."""

    def __init__(self, files: Files, topic: str) -> None:
        self.files, self.topic, self.root = files, topic, f"source={topic}"
        self.folder = f"{self.root}/{LOG}"

    def load(self) -> State:
        """Return what counts now."""
        while True:
            names = self._names()
            base = _newest_base(names)
            try:
                state = _state(json.loads(self.files.read(f"{self.folder}/{base}.json"))) if base else State({}, {}, [])
            except FileNotFoundError:  # folded since it was listed
                continue
            for entry in sorted(self._entries(names), key=lambda each: (each.generation == COMPACT, each.number)):
                state.add(entry)
            if _newest_base(self._names()) == base:
                return state

    def commit(self, entry: Entry, state: State) -> None:
        """Make a batch count, once its files are written; raises MillraceError when any of it was archived before."""
        for partition, (first, end) in entry.offsets.items():
            if state._overlaps(partition, first, end):
                raise MillraceError(
                    f"{self.files.url}/{self.root} holds offsets {first} to {end} of partition {partition} in part:"
                    " another writer has archived them; remove this job's checkpoint to go on after the highest"
                )
        try:
            self.files.create(f"{self.folder}/{entry.id}.json", _encode(entry))
        except Exists:
            raise MillraceError(
                f"{self.files.url}/{self.folder} has {entry.id} already: another writer is at work"
            ) from None
        state.add(entry)

    def fold(self) -> int:
        """Write one file that says what all entries say, and remove them; returns how many."""
        state = self.load()
        old = [name for name in self._names() if name.startswith(f"{BASE}-")]
        if not state.known:
            return 0
        for known in state.known:
            generation, _, number = known.rpartition("-")
            state.folded[generation] = max(int(number), state.folded.get(generation, -1))
        newest = 1 + max((int(name.rpartition("-")[2]) for name in old), default=0)
        self.files.create(f"{self.folder}/{BASE}-{newest:08}.json", _encode_base(state))
        for name in [*sorted(state.known), *old]:  # the base says it now: a crash here leaves what nobody reads
            self.files.remove(f"{self.folder}/{name}.json")
        return len(state.known)

    def _names(self) -> list[str]:
        names = [each.path.rpartition("/")[2] for each in self.files.list(self.folder)]
        return [name.removesuffix(".json") for name in names if name.endswith(".json") and not name.startswith("_")]

    def _entries(self, names: Iterable[str]) -> list[Entry]:
        wanted = [name for name in names if not name.startswith(f"{BASE}-")]
        with ThreadPoolExecutor(PARALLEL) as pool:
            return [entry for entry in pool.map(self._entry, wanted) if entry]

    def _entry(self, name: str) -> Entry | None:
        try:
            found = json.loads(self.files.read(f"{self.folder}/{name}.json"))
        except FileNotFoundError:  # folded since it was listed
            return None
        offsets = {int(partition): (first, end) for partition, (first, end) in found.pop("offsets").items()}
        return Entry(offsets=offsets, parts=[Part(**part) for part in found.pop("parts")], **found)


def begin(hour: str) -> int:
    """Return when the hour of a folder begins, in seconds since 1970: date=2026-11-22/hour=10, of any year."""
    return times.milliseconds(hour.removeprefix("date=").replace("/hour=", "T")) // 1000


def odd(hour: str, now: datetime) -> bool:
    """Return whether an hour is one that no clock had shown at `now`: before 1970, or yet to come."""
    return not 0 <= begin(hour) <= (now + times.AHEAD).timestamp()


def topics(files: Files) -> list[str]:
    """Return the topics that the archive holds."""
    names = [each.path for each in files.list("") if each.folder]
    return [name.removeprefix("source=") for name in names if name.startswith("source=")]


def merge(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the same offsets as few ranges in order."""
    merged: list[tuple[int, int]] = []
    for first, end in sorted(ranges):
        if merged and first <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((first, end))
    return merged


def _newest_base(names: list[str]) -> str | None:
    return max((name for name in names if name.startswith(f"{BASE}-")), default=None)


def _encode(entry: Entry) -> bytes:
    parts = [vars(part) for part in entry.parts]
    return json.dumps(vars(entry) | {"offsets": dict(entry.offsets), "parts": parts}).encode()


def _encode_base(state: State) -> bytes:
    parts = [vars(part) for part in state.parts.values()]
    known = {"folded": state.folded, "offsets": state.offsets, "until": state.until}
    return json.dumps(known | {"parts": parts}).encode()


def _state(base: dict[str, Any]) -> State:
    offsets = {int(partition): [(first, end) for first, end in ranges] for partition, ranges in base["offsets"].items()}
    return State(base["folded"], offsets, [Part(**part) for part in base["parts"]], base.get("until", ""))
