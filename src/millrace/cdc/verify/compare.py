"""Compare tables of PostgreSQL with what ClickHouse has of them, while changes go on.

First all rows, by sums of hashes of two moments, of which the source's is earlier. What is not the same then is looked
at again by key. A key differs when ClickHouse, having all that PostgreSQL had at a snapshot, shows another row for it,
of a version that it had before that snapshot was taken: whatever became of the key at the source until then would have
a later one. A key whose version is new each time is in motion, and nothing is said of it.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice

from millrace.cdc import catalog
from millrace.cdc.follow import Choice
from millrace.cdc.replica import Replica
from millrace.cdc.verify import verdict
from millrace.cdc.verify.reached import Stream
from millrace.cdc.verify.rows import Key, apart, unequal
from millrace.cdc.verify.source import Snapshot, snapshot
from millrace.cdc.verify.target import Target, Version
from millrace.cdc.verify.verdict import Difference, Verdict, difference
from millrace.errors import ConfigError
from millrace.sinks.sql import database

ROUNDS = 5  # looks at a key that is in motion
MOST = 10_000  # keys of a table that are looked at one by one
TOGETHER = 1000  # of them by one statement
BLOCKS_PER_BUCKET = 16  # of some 1000 rows, so that few are looked at for one that differs
MOST_BUCKETS = 1 << 16
Bar = Callable[[str, int, str], AbstractContextManager[Callable[[int], object]]]


@dataclass
class Comparing:
    """One table while it is compared: `seen` are keys to be looked at, with the version that each had last."""

    replica: Replica
    left_out: tuple[str, ...] = ()
    rows: int = 0
    seen: dict[Key, Version] = field(default_factory=dict)
    there: set[Key] = field(default_factory=set)  # keys that are not equal, and that the source has
    differing: int = 0
    differences: list[Difference] = field(default_factory=list)
    more: bool = False
    seconds: float = 0.0

    @property
    def names(self) -> list[tuple[str, bool]]:
        """The columns, and whether they are of the key."""
        return [(each.column.name, each.key) for each in self.replica.fields]

    def verdict(self) -> verdict.Table:
        """Return what was found."""
        equal = self.rows - len(self.there)
        return verdict.Table(
            *(self.replica.source.full_name, self.rows, equal, self.differing, len(self.seen)),
            *(self.more, round(self.seconds, 3), tuple(self.differences), self.left_out),
        )


@dataclass(frozen=True)
class Verifying:
    """How tables are compared: differences to list of each, seconds to wait for ClickHouse, and who is told what."""

    stream: Stream
    target: Target
    limit: int
    wait: float
    bar: Bar
    tell: Callable[[str], object]

    def run(self, choice: Choice) -> Verdict:
        """Compare the tables of `choice`; raises ConfigError and Unavailable."""
        tables = [_compared(replica) for replica in self._replicas(choice)]
        lsn, behind = self._all(tables)
        for _ in range(ROUNDS):
            if moving := [each for each in tables if each.seen]:
                lsn, behind = self._again(moving)
        return Verdict(lsn, datetime.now(UTC).isoformat(), behind, tuple(each.verdict() for each in tables))

    def _replicas(self, choice: Choice) -> list[Replica]:
        found = catalog.read(self.stream.source, choice.tables)
        if absent := [name for name in choice.tables if name not in found]:
            raise ConfigError(f"no such table at {database.place(self.stream.source.url)}: {', '.join(absent)}")
        replicas = [choice.plan(found[name]) for name in choice.tables]
        for replica in replicas:
            self.target.check(replica)
        return replicas

    def _all(self, tables: Sequence[Comparing]) -> tuple[str, str]:
        """Compare all rows, note the keys to be looked at, and return the LSN with why ClickHouse may not be there."""
        with snapshot(self.stream.source, [each.replica.source for each in tables]) as source:
            sums = []
            for each in tables:
                with _timed(each):
                    blocks = source.blocks(each.replica.source)
                    mask = _mask(blocks)
                    with self.bar(each.replica.source.full_name, blocks, "blocks") as advance:
                        sums.append((mask, source.sums(each.replica, mask, blocks, advance)))
            behind = self.stream.wait(source.lsn, self.wait, self.tell)
            for each, (mask, ours) in zip(tables, sums, strict=True):
                with _timed(each):
                    each.rows = sum(count for count, _ in ours.values())
                    buckets = unequal(ours, self.target.sums(each.replica, mask))
                    self._note(each, source, mask, buckets)
            return source.at, behind

    def _note(self, each: Comparing, source: Snapshot, mask: int, buckets: Sequence[int]) -> None:
        """Note the keys in `buckets` whose rows are not the same, with their versions."""
        if buckets:
            ours, theirs = (side.rows(each.replica, mask, buckets) for side in (source, self.target))
            keys = list(islice(apart(ours, theirs), MOST + 1))
            each.more = len(keys) > MOST
            for some in _parts(keys[:MOST]):
                each.there |= source.look(each.replica, some).keys()
                each.seen |= self.target.versions(each.replica, some)

    def _again(self, tables: Sequence[Comparing]) -> tuple[str, str]:
        """Look at what is noted again; what stays noted is in motion."""
        with snapshot(self.stream.source, [each.replica.source for each in tables]) as source:
            behind = self.stream.wait(source.lsn, self.wait, self.tell)
            for each in tables:
                with _timed(each):
                    for some in _parts(list(each.seen)):
                        self._judge(each, source, some)
            return source.at, behind

    def _judge(self, each: Comparing, source: Snapshot, keys: Sequence[Key]) -> None:
        ours, theirs = source.look(each.replica, keys), self.target.look(each.replica, keys)
        versions = self.target.versions(each.replica, keys)  # after the rows: they are not of a later one
        found = []
        for key in keys:
            before = each.seen.pop(key)
            (each.there.add if key in ours and ours[key] != theirs.get(key) else each.there.discard)(key)
            if ours.get(key) == theirs.get(key):
                continue
            if versions[key] == before:
                found.append(key)
            else:
                each.seen[key] = versions[key]
        each.differing += len(found)
        if listed := found[: self.limit - len(each.differences)]:
            texts = source.texts(each.replica, listed), self.target.texts(each.replica, listed)
            each.differences += [difference(each.names, *(side.get(key, ()) for side in texts)) for key in listed]


def _compared(replica: Replica) -> Comparing:
    """Return a table without the columns whose texts say nothing of their values."""
    known = tuple(each for each in replica.fields if each.type.compared or each.key)
    left_out = tuple(each.column.name for each in replica.fields if each not in known)
    return Comparing(replace(replica, fields=known), left_out)


def _parts(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    for start in range(0, len(keys), TOGETHER):
        yield keys[start : start + TOGETHER]


def _mask(blocks: int) -> int:
    """Return the number of buckets less one, all of whose bits are set."""
    return (1 << min(MOST_BUCKETS, (blocks // BLOCKS_PER_BUCKET)).bit_length()) - 1


@contextmanager
def _timed(each: Comparing) -> Iterator[None]:
    start = time.monotonic()
    try:
        yield
    finally:
        each.seconds += time.monotonic() - start
