"""Values that changes leave out, of rows whose keys change: histories in any order, without PostgreSQL and Kafka."""

import json
import random
import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import clickhouse_connect
import pyarrow as pa
import pytest
import sqlalchemy

from millrace.cdc import toast
from millrace.cdc.follow import Choice, Following
from millrace.cdc.merge import Merging, Statements
from millrace.cdc.plan import plan
from millrace.cdc.table import Column, Index, Table
from millrace.cdc.types import PLACEHOLDER
from millrace.config import Settings
from millrace.sinks.retry import Patience

ID = Column(1, "id", "int4", None, 0, -1, "integer", False, "", False, None)
BODY = Column(2, "body", "text", None, 0, -1, "text", True, "", True, None)
TAGS = Column(3, "tags", "text", None, 0, -1, "text", True, "", True, None)
TABLE = Table(7, "public", "t", "r", "d", (ID, BODY, TAGS), (Index("t_pkey", True, False, True, True, ("id",)),))
NUMBERS = {"generation": pa.int32(), "commit": pa.int64(), "lsn": pa.int64(), "changed_at": pa.int64()}
FLAGS = dict.fromkeys(("partial", "streamed", "ended"), pa.bool_())
TEXTS = dict.fromkeys(("table", "kind", "row", "old_key", "reason"), pa.string())
SCHEMA = pa.schema([*TEXTS.items(), *FLAGS.items(), *NUMBERS.items()])

Change = dict[str, Any]
LEFT_OUT = PLACEHOLDER


def large(name: str) -> str:
    return name.ljust(200, ".")


def there(lsn: int, key: int, body: str | None, tags: str | None = None, *, old: int | None = None) -> Change:
    """Return that a row is there; `old` is the key that it had before."""
    row, partial = {"id": key, "body": body, "tags": tags}, LEFT_OUT in (body, tags)
    former = json.dumps({"id": old}) if old is not None else None
    return _change(lsn, "row") | {"row": json.dumps(row), "old_key": former, "partial": partial}


def gone(lsn: int, key: int) -> Change:
    return _change(lsn, "gone") | {"row": json.dumps({"id": key, "body": None, "tags": None})}


def moved(lsn: int, old: int, key: int, body: str | None = LEFT_OUT, tags: str | None = None) -> list[Change]:
    return [gone(lsn, old), there(lsn, key, body, tags, old=old)]


def _change(lsn: int, kind: str) -> Change:
    own = {"table": "public.t", "kind": kind, "generation": 1, "commit": 1, "lsn": lsn, "changed_at": 0}
    return own | {"partial": False, "streamed": True, "ended": True}


@dataclass
class Copy:
    """The table in a database of ClickHouse of its own."""

    url: str

    def __post_init__(self) -> None:
        self.client = clickhouse_connect.get_client(dsn=self.url)
        self.begin()

    def begin(self) -> None:
        """Start as a job does, once more too."""
        self.following = Following(sqlalchemy.create_engine("sqlite://"), self.url, Choice(("public.t",)))
        self.replica = self.following.replicas["public.t"] = self.following._mend(plan(TABLE, {}))

    def take(self, batch: Iterable[Change]) -> None:
        inserts = toast.inserts(self.replica, self.following.settling["public.t"].number)
        statements = Statements(self.replica.insert, self.replica.refused, False, tuple(inserts))
        merging = Merging(self.url, {"public.t": statements}, Patience())
        assert merging.take(pa.Table.from_pylist(list(batch), SCHEMA)) + merging.flush() == []
        self.following.settle()

    def rows(self) -> dict[int, tuple[str | None, str | None]]:
        found = self.client.query(f"SELECT id, body, tags FROM {self.replica.view}").result_rows
        assert len({row[0] for row in found}) == len(found)
        return {key: (body, tags) for key, body, tags in found}


@pytest.fixture
def copy(clickhouse: Settings) -> Copy:
    server, name = clickhouse.store_url("clickhouse"), f"large_{uuid.uuid4().hex[:8]}"
    clickhouse_connect.get_client(dsn=server).command(f"CREATE DATABASE {name}")
    return Copy(f"{server}/{name}")


A, B, OLD = large("a"), large("b"), large("old")
EARLIER = [there(10, 2, OLD), gone(20, 2)]  # another row had the key
HISTORIES = {
    "a newer value comes when an older one was given": (
        [[there(10, 1, A), *moved(30, 1, 2)], [there(20, 1, B)]], {2: B}),
    "and the row has moved on": (
        [[there(10, 1, A), *moved(30, 1, 2), *moved(40, 2, 3), *moved(50, 3, 4)], [there(20, 1, B)]], {4: B}),
    "a key that another row had before": ([[*EARLIER, there(30, 1, A), *moved(40, 1, 2)]], {2: A}),
    "and the row has moved on from there": (
        [[*EARLIER, there(30, 1, A), *moved(40, 1, 2), *moved(50, 2, 3), *moved(60, 3, 4)]], {4: A}),
    "and the row was changed there": (
        [[*EARLIER, there(30, 1, A), *moved(40, 1, 2), there(50, 2, LEFT_OUT, "t")]], {2: A}),
    "a key that another row had before, and no value comes": ([[*EARLIER, *moved(40, 1, 2)]], {2: None}),
    "a value that comes last of all": (
        [[*moved(50, 2, 3)], [*moved(40, 1, 2)], EARLIER, [there(30, 1, A)]], {3: A}),
    "forth and back": ([[there(10, 1, A), *moved(20, 1, 2), *moved(30, 2, 1)]], {1: A}),
    "forth, changed, and back, newest first": (
        [[*moved(40, 2, 1)], [there(30, 2, B)], [*moved(20, 1, 2)], [there(10, 1, A)]], {1: B}),
    "one that moved onto the key of one that moved": (
        [[there(10, 1, A), there(20, 2, B), *moved(30, 2, 3), *moved(40, 1, 2)]], {3: B, 2: A}),
}  # fmt: skip


@pytest.mark.parametrize("again", [False, True], ids=["once", "again"])
@pytest.mark.parametrize("name", list(HISTORIES))
def test_a_row_that_moved_has_the_values_that_it_had(name: str, again: bool, copy: Copy) -> None:
    """Whatever came before what; also where all comes again, to a job that starts anew."""
    batches, expected = HISTORIES[name]
    for batch in batches * 2 if again else batches:
        copy.take(batch)
        if again:
            copy.begin()
    assert {key: body for key, (body, _) in copy.rows().items()} == expected


def test_only_what_is_new_is_settled(copy: Copy) -> None:
    """Nor anything where a batch brings nothing; a job that starts anew settles all, once."""
    copy.take([change for key in range(1, 4) for change in (there(key, key, A), *moved(key + 10, key, key + 10))])

    def settled() -> int:
        return int(copy.client.query("SELECT max(_settled) FROM t__toast").result_rows[0][0])

    def given(since: int) -> set[int]:
        return {row[0] for row in copy.client.query(f"SELECT id FROM t__toast WHERE _settled > {since}").result_rows}

    before = settled()
    copy.take([there(20, 4, A), *moved(30, 4, 14)])
    assert given(before) == {14}
    before = settled()
    copy.take([there(40, 5, A)])
    copy.take([])
    assert given(before) == set()
    copy.take([there(8, 2, B)])  # from before it moved
    assert given(before) == {12}
    before = settled()
    copy.begin()
    copy.take([])
    assert given(before) == {11, 12, 13, 14}


def test_rows_whose_values_nobody_sends_are_told(copy: Copy, caplog: pytest.LogCaptureFixture) -> None:
    """As where an incremental snapshot leaves a row to the change that came while it was read."""
    snapshot = "public.t: rows without large values that no change carried: 2; .* `millrace cdc snapshot public.t`"

    def lacking() -> dict[int, list[str]]:
        return dict(copy.client.query("SELECT * FROM t__lacking").result_rows)

    copy.take([there(10, 1, A, A), there(20, 2, B), gone(21, 9)])
    assert not caplog.records
    copy.take([there(30, 3, LEFT_OUT, B), *moved(40, 4, 5, B, LEFT_OUT), there(50, 1, LEFT_OUT, "t")])
    assert re.search(snapshot, caplog.text) and lacking() == {3: ["body"], 5: ["tags"]}
    assert copy.rows() == {1: (A, "t"), 2: (B, None), 3: (None, B), 5: (B, None)}
    caplog.clear()
    copy.begin()
    copy.take([])
    assert re.search(snapshot, caplog.text)
    caplog.clear()
    copy.take([there(31, 3, A, LEFT_OUT), there(41, 5, LEFT_OUT, B)])
    assert not caplog.records and lacking() == {}
    assert copy.rows() == {1: (A, "t"), 2: (B, None), 3: (A, B), 5: (B, B)}


@dataclass
class History:
    """Random changes of a few rows, and what they come to."""

    draw: random.Random
    rows: dict[int, tuple[str | None, str | None]] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    lsn: int = 0

    def run(self, steps: int) -> None:
        for self.lsn in range(10, 10 * steps, 10):
            self.draw.choices((self._insert, self._update, self._delete, self._move), (5, 6, 2, 6))[0](self._key())

    def _key(self) -> int:
        return self.draw.randrange(5)

    def _value(self) -> str | None:
        return self.draw.choice((None, "", "short", *[large(f"{self.lsn}/{self.draw.random()}")] * 9))

    def _insert(self, key: int) -> None:
        if key not in self.rows:
            self.rows[key] = self._value(), self._value()
            self.changes.append(there(self.lsn, key, *self.rows[key]))

    def _update(self, key: int) -> None:
        if key in self.rows:
            self.changes.append(there(self.lsn, key, *self._written(key, key)))

    def _delete(self, key: int) -> None:
        if self.rows.pop(key, None):
            self.changes.append(gone(self.lsn, key))

    def _move(self, key: int) -> None:
        onto = self._key()
        if key in self.rows and onto != key:
            self._delete(onto)
            self.changes += moved(self.lsn + 1, key, onto, *self._written(key, onto))

    def _written(self, key: int, now: int) -> tuple[str | None, str | None]:
        """Change some values of a row, or none, and return what is told of them."""
        before = self.rows.pop(key)
        body, tags = (self._value() if self.draw.random() < 0.2 else value for value in before)
        self.rows[now] = body, tags
        told = [LEFT_OUT if new is old and new == large(new or "") else new
                for new, old in zip((body, tags), before, strict=True)]  # fmt: skip
        return told[0], told[1]


def batches(changes: list[Change], draw: random.Random) -> Iterator[list[Change]]:
    """Yield changes in any order, some of them twice."""
    mixed = draw.sample([*changes, *draw.sample(changes, len(changes) // 4)], len(changes) + len(changes) // 4)
    while mixed:
        size = draw.randint(1, len(mixed))
        yield mixed[:size]
        mixed = mixed[size:]


@pytest.mark.parametrize("seed", range(12))
def test_random_histories_in_any_order(seed: int, copy: Copy) -> None:
    draw = random.Random(seed)
    history = History(draw)
    history.run(60)
    for batch in batches(history.changes, draw):
        copy.take(batch)
    assert copy.rows() == history.rows
