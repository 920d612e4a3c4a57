"""Changes of PostgreSQL in ClickHouse, by a real Debezium: one kind of change a test, and a random workload."""

import json
import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from pyspark.sql import SparkSession
from tests.capture import Capture, Copy, Records, capturing
from tests.support import wait
from tests.workload import Workload

from millrace.cdc.follow import Choice
from millrace.errors import ConfigError

OPERATIONS = 3_000
Deliver = Callable[[Records, random.Random], Iterator[Records]]


@dataclass
class Place:
    """A schema of one test, whose tables are copied; `#` in a statement is the schema."""

    capture: Capture
    spark: SparkSession
    schema: str

    def play(self, *statements: str) -> None:
        self.capture.execute(*(each.replace("#", self.schema) for each in statements))

    def copy(self, *tables: str, **choice: Any) -> Copy:
        return Copy(self.capture, self.spark, Choice(tuple(f"{self.schema}.{each}" for each in tables), **choice))

    def reversed(self, *tables: str) -> Copy:
        """Return a copy to which the newer half of all records came first, newest first."""
        copy = self.copy(*tables)
        records = self.capture.records(copy.choice.tables)[::-1]
        copy.take(records[: len(records) // 2], records[len(records) // 2 :])
        return copy


@pytest.fixture
def place(capture: Capture, spark: SparkSession) -> Iterator[Place]:
    found = Place(capture, spark, f"s{uuid.uuid4().hex[:8]}")
    found.play("CREATE SCHEMA #")
    yield found
    found.play("DROP SCHEMA # CASCADE")


PAIR = "CREATE TABLE #.t (id int PRIMARY KEY, name text)"
ONE = (PAIR, "INSERT INTO #.t VALUES (1, 'a')")
TWO = (PAIR, "INSERT INTO #.t VALUES (1, 'a'), (2, 'b')")
CHANGES = {
    "deleted and inserted in one transaction": (
        [*ONE, "DELETE FROM #.t WHERE id = 1; INSERT INTO #.t VALUES (1, 'z')"], [(1, "z")]),
    "inserted and deleted in one transaction": (
        [*ONE, "INSERT INTO #.t VALUES (2, 'b'); DELETE FROM #.t WHERE id = 2"], [(1, "a")]),
    "changed twice in one transaction": (
        [*ONE, "UPDATE #.t SET name = 'b'; UPDATE #.t SET name = 'c'"], [(1, "c")]),
    "another key": ([*ONE, "UPDATE #.t SET id = 2"], [(2, "a")]),
    "another key and back": ([*ONE, "UPDATE #.t SET id = 2", "UPDATE #.t SET id = 1"], [(1, "a")]),
    "another key and back in one transaction": (
        [*ONE, "UPDATE #.t SET id = 2; UPDATE #.t SET id = 1, name = 'b'"], [(1, "b")]),
    "a key that was just deleted": ([*TWO, "DELETE FROM #.t WHERE id = 2", "UPDATE #.t SET id = 2"], [(2, "a")]),
    "a key that was just deleted, in one transaction": (
        [*TWO, "DELETE FROM #.t WHERE id = 2; UPDATE #.t SET id = 2 WHERE id = 1"], [(2, "a")]),
    "two keys swapped": (
        [*TWO, "UPDATE #.t SET id = 3 WHERE id = 1; UPDATE #.t SET id = 1 WHERE id = 2; UPDATE #.t SET id = 2 WHERE id = 3"],
        [(1, "b"), (2, "a")]),
    "all keys moved by one": ([PAIR, "INSERT INTO #.t VALUES (3, 'c'), (2, 'b'), (1, 'a')", "UPDATE #.t SET id = id + 1"],
                              [(2, "a"), (3, "b"), (4, "c")]),
    "deleted and loaded anew": (
        [*TWO, "DELETE FROM #.t; INSERT INTO #.t VALUES (2, 'b'), (3, 'c')"], [(2, "b"), (3, "c")]),
    "emptied": ([*TWO, "TRUNCATE #.t"], []),
    "emptied and filled in one transaction": (
        [*TWO, "INSERT INTO #.t VALUES (3, 'c'); TRUNCATE #.t; INSERT INTO #.t VALUES (1, 'new')"], [(1, "new")]),
    "emptied twice": ([*TWO, "TRUNCATE #.t", "INSERT INTO #.t VALUES (5, 'e')", "TRUNCATE #.t"], []),
    "an emptying that was rolled back": (
        [*TWO, "BEGIN; TRUNCATE #.t; ROLLBACK", "UPDATE #.t SET name = 'c' WHERE id = 1"], [(1, "c"), (2, "b")]),
    "rolled back to a savepoint": (
        [*ONE, "BEGIN; SAVEPOINT s; UPDATE #.t SET name = 'x'; ROLLBACK TO s; UPDATE #.t SET id = 7; COMMIT"], [(7, "a")]),
    "an explicit null where the column has a default": (
        ["CREATE TABLE #.t (id int PRIMARY KEY, name text DEFAULT 'given')", "INSERT INTO #.t VALUES (1, NULL)",
         "INSERT INTO #.t VALUES (2)", "UPDATE #.t SET name = NULL WHERE id = 2"], [(1, None), (2, None)]),
    "a null beside an empty text": ([PAIR, "INSERT INTO #.t VALUES (1, NULL), (2, '')"], [(1, None), (2, "")]),
    "a key column that is text with blanks": (
        ["CREATE TABLE #.t (id char(3) PRIMARY KEY, name text)", "INSERT INTO #.t VALUES ('a', 'x')",
         "UPDATE #.t SET name = 'y' WHERE id = 'a'"], [("a  ", "y")]),
}  # fmt: skip


@pytest.mark.parametrize("full", [False, True], ids=["default", "full"])
def test_changes(full: bool, place: Place) -> None:
    """Whatever the order in which they come, and with either identity of old rows."""
    names = {name: f"t{number}" for number, name in enumerate(CHANGES)}
    for name, (statements, _) in CHANGES.items():
        create, *others = (each.replace("#.t", f"#.{names[name]}") for each in statements)
        place.play(create, *([f"ALTER TABLE #.{names[name]} REPLICA IDENTITY FULL"] if full else []), *others)
    copy = place.reversed(*names.values())
    found = {name: copy.read(f"{place.schema}.{table}") for name, table in names.items()}
    assert found == {name: expected for name, (_, expected) in CHANGES.items()}
    assert (copy.differences(), copy.letters) == ({}, [])
