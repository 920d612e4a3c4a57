"""Changes of PostgreSQL in ClickHouse, by a real Debezium: one kind of change a test, and a random workload."""

import json
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from pyspark.sql import SparkSession
from tests.capture import Capture, Copy, Records, capturing
from tests.support import wait
from tests.workload import Workload

from millrace.cdc import connector
from millrace.cdc.follow import Choice, Following
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
        [*TWO, "UPDATE #.t SET id = 3 WHERE id = 1; UPDATE #.t SET id = 1 WHERE id = 2;"
         "UPDATE #.t SET id = 2 WHERE id = 3"],
        [(1, "b"), (2, "a")]),
    "all keys moved by one": (
        [PAIR, "INSERT INTO #.t VALUES (3, 'c'), (2, 'b'), (1, 'a')", "UPDATE #.t SET id = id + 1"],
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
        [*ONE, "BEGIN; SAVEPOINT s; UPDATE #.t SET name = 'x'; ROLLBACK TO s; UPDATE #.t SET id = 7; COMMIT"],
        [(7, "a")]),
    "an explicit null where the column has a default": (
        ["CREATE TABLE #.t (id int PRIMARY KEY, name text DEFAULT 'given')", "INSERT INTO #.t VALUES (1, NULL)",
         "INSERT INTO #.t VALUES (2)", "UPDATE #.t SET name = NULL WHERE id = 2"], [(1, None), (2, None)]),
    "a null beside an empty text": ([PAIR, "INSERT INTO #.t VALUES (1, NULL), (2, '')"], [(1, None), (2, "")]),
    "a key column that is text with blanks": (
        ["CREATE TABLE #.t (id char(3) PRIMARY KEY, name text)", "INSERT INTO #.t VALUES ('a', 'x')",
         "UPDATE #.t SET name = 'y' WHERE id = 'a'"], [("a  ", "y")]),
    "an interval with a fraction, which Debezium reads as a double": (
        ["CREATE TABLE #.t (id int PRIMARY KEY, name interval)", "INSERT INTO #.t VALUES (1, '-02:00:02.274176')"],
        [(1, "P0Y0M0DT-2H0M-2.274176S")]),
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


def test_a_column_that_is_added_is_read_in_older_rows(place: Place) -> None:
    """By its default, also where the record came before or after; what was null on purpose stays so."""
    place.play(*ONE, "INSERT INTO #.t VALUES (2, 'b')")
    copy, table = place.copy("t"), f"{place.schema}.t"
    copy.catch_up()
    place.play(
        "ALTER TABLE #.t ADD COLUMN n int DEFAULT 7, ADD COLUMN at timestamptz NOT NULL DEFAULT '2020-02-29 12:00+00',"
        " ADD COLUMN tags text[] DEFAULT '{a,NULL}', ADD COLUMN none text, ADD COLUMN price numeric(8,2) DEFAULT 1.5",
        "INSERT INTO #.t VALUES (3, 'c', NULL, '2021-01-01 00:00+00', NULL, 'x', NULL)",
        "UPDATE #.t SET name = 'B' WHERE id = 2",
    )
    copy.catch_up()
    assert [row[2] for row in copy.read(table)] == [7, 7, None]
    assert copy.differences() == {}
    copy.begin()  # a restart
    copy.catch_up()
    place.play("UPDATE #.t SET n = NULL WHERE id = 1")
    copy.take(copy.capture.records([table])[::-1])
    assert [row[2] for row in copy.read(table)] == [None, 7, None]
    assert (copy.differences(), copy.letters) == ({}, [])


def test_a_column_that_is_dropped_is_left_out(place: Place) -> None:
    place.play("CREATE TABLE #.t (id int PRIMARY KEY, gone text, name text)", "INSERT INTO #.t VALUES (1, 'x', 'a')")
    copy, table = place.copy("t"), f"{place.schema}.t"
    copy.catch_up()
    place.play("ALTER TABLE #.t DROP COLUMN gone", "INSERT INTO #.t VALUES (2, 'b')")
    copy.catch_up()
    assert copy.read(table) == [(1, "a"), (2, "b")]
    copy.begin()
    assert (copy.differences(), copy.letters) == ({}, [])


WIDENED = (
    ("int", "bigint", "9223372036854775807"),
    ("smallint", "int", "2147483647"),
    ("varchar(3)", "text", "'longer than three'"),
    ("varchar(3)", "varchar(9)", "'nine char'"),
    ("real", "double precision", "0.1"),
    ("numeric(6,2)", "numeric(10,2)", "12345678.90"),
)


def test_types_that_are_widened_go_on(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """With a word of the values that a rewrite may have made, which PostgreSQL does not send."""
    columns, values = zip(*((f"c{n} {before}", value) for n, (before, _, value) in enumerate(WIDENED)), strict=True)
    place.play(f"CREATE TABLE #.t (id int PRIMARY KEY, {', '.join(columns)})",
               f"INSERT INTO #.t VALUES (1{', 12' * len(columns)}), (2{', NULL' * len(columns)})")  # fmt: skip
    copy = place.copy("t")
    copy.catch_up()
    wider = ", ".join(f"ALTER c{n} TYPE {after}" for n, (_, after, _) in enumerate(WIDENED))
    place.play(f"ALTER TABLE #.t {wider}", f"INSERT INTO #.t VALUES (3, {', '.join(values)})")
    assert "the type of" not in caplog.text
    copy.catch_up()
    assert f"{place.schema}.t: the type of c0, c1, c2, c3, c4, c5 is another; if rows got other values" in caplog.text
    assert (copy.differences(), copy.letters) == ({}, [])


def test_partitions_that_come_and_go_are_told(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Their rows come and go with them, of which the stream of changes has none."""
    part = "CREATE TABLE #.t_{0} PARTITION OF #.t FOR VALUES IN ({0})"
    place.play("CREATE TABLE #.t (id int, part int, PRIMARY KEY (id, part)) PARTITION BY LIST (part)",
               part.format(1), part.format(2), "INSERT INTO #.t VALUES (1, 1), (2, 2)")  # fmt: skip
    copy, table = place.copy("t"), f"{place.schema}.t"
    copy.following.inserts()
    assert not caplog.records
    place.play("CREATE TABLE #.t_3 (id int NOT NULL, part int NOT NULL)", "INSERT INTO #.t_3 VALUES (3, 3)",
               "ALTER TABLE #.t ATTACH PARTITION #.t_3 FOR VALUES IN (3)", "DROP TABLE #.t_1")  # fmt: skip
    copy.following.inserts()
    came, gone = (record.getMessage() for record in caplog.records)
    assert came.startswith(f"{table}: rows that {table}_3 had") and f"`millrace cdc snapshot {table}`" in came
    assert gone.startswith(f"{table}: {table}_1 is no longer a partition") and "--resnapshot" in gone


STOPS = {
    "renamed": (["ALTER TABLE #.t RENAME name TO title"], "title was called name: ALTER TABLE .* RENAME COLUMN"),
    "narrowed": (["ALTER TABLE #.t ALTER n TYPE int"], "n was bigint and is integer now"),
    "another type": (["ALTER TABLE #.t ALTER n TYPE text"], "n was bigint and is text now"),
    "dropped and added": (["ALTER TABLE #.t DROP COLUMN name", "ALTER TABLE #.t ADD COLUMN name text"],
                          "name was dropped and added again"),
    "another key": (["ALTER TABLE #.t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (n)"], r"ordered by \(id\), but the key"),
    "no key": (["ALTER TABLE #.t DROP CONSTRAINT t_pkey"], "has no primary key: ALTER TABLE"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(STOPS))
def test_what_values_cannot_follow_stops_and_is_told(name: str, place: Place) -> None:
    """Before its next batch, and at its next start."""
    changes, words = STOPS[name]
    place.play("CREATE TABLE #.t (id int PRIMARY KEY, name text, n bigint NOT NULL)")
    copy = place.copy("t")
    place.play(*changes)
    with pytest.raises(ConfigError, match=words):
        copy.following.inserts()
    with pytest.raises(ConfigError, match=words):
        copy.begin()


def test_a_renamed_column_goes_on_as_it_was_told(place: Place) -> None:
    """Its large values, too, which were kept under the old name: the snapshot reads them again."""
    place.play(*ONE, "UPDATE #.t SET name = repeat('large', 2000)")
    copy, table = place.copy("t"), f"{place.schema}.t"
    copy.catch_up()
    place.play("ALTER TABLE #.t RENAME name TO title")
    with pytest.raises(ConfigError, match="RENAME COLUMN") as told:
        copy.begin()
    statement = str(told.value).partition(": ")[2].partition(" in ClickHouse")[0]
    copy.client.command(statement)
    copy.begin()
    place.play("ALTER TABLE #.t ADD more int", "UPDATE #.t SET more = 1")  # which leaves the large value out
    place.capture.snapshot(table)
    copy.catch_up()
    assert (copy.differences(), copy.letters) == ({}, [])


def test_a_table_made_anew_goes_on_as_it_was_told(place: Place) -> None:
    place.play(*ONE)
    copy, table = place.copy("t"), f"{place.schema}.t"
    copy.catch_up()
    place.play("DROP TABLE #.t", PAIR.replace("name text", "other text, name text"))
    with pytest.raises(ConfigError, match="made anew") as told:
        copy.begin()
    copy.client.command(str(told.value).partition("drop it, ")[2].partition(" in ClickHouse")[0])
    copy.begin()
    assert copy.read(table) == []


def test_a_row_whose_key_changes_many_times_keeps_its_large_value(place: Place) -> None:
    place.play(
        *ONE, "UPDATE #.t SET name = repeat('large', 2000)", *(f"UPDATE #.t SET id = {id}" for id in range(2, 12))
    )
    copy = place.reversed("t")
    assert (copy.differences(), copy.letters) == ({}, [])


@pytest.mark.parametrize("table", ["keyless", "unknown"])
def test_a_table_without_a_key(table: str, place: Place) -> None:
    """It is refused; with unique columns as its key its rows are followed, whether the connector knows of it or not."""
    place.play(f"CREATE TABLE #.{table} (a int NOT NULL, b int NOT NULL, name text)",
               f"ALTER TABLE #.{table} REPLICA IDENTITY FULL")  # fmt: skip
    with pytest.raises(ConfigError, match=rf"no primary key: .* ADD PRIMARY KEY \(...\), or --key .*\.{table}=COLUMN"):
        place.copy(table)
    place.play(
        f"INSERT INTO #.{table} VALUES (1, 1, 'a'), (1, 2, 'b'), (2, 1, 'c')",
        f"UPDATE #.{table} SET name = 'B' WHERE b = 2; UPDATE #.{table} SET name = 'BB' WHERE b = 2",
        f"DELETE FROM #.{table} WHERE a = 2",
        f"UPDATE #.{table} SET a = 3 WHERE b = 1",
    )
    copy = place.copy(table, keys={f"{place.schema}.{table}": ["b", "a"]})
    records = copy.capture.records(copy.choice.tables)
    copy.take(records[::-1])
    assert copy.read(f"{place.schema}.{table}") == [(3, 1, "a"), (1, 2, "BB")]
    assert (copy.differences(), copy.letters) == ({}, [])


def test_a_text_that_is_the_placeholder_of_toast(place: Place) -> None:
    """It is a text like any other where whole rows are sent, and in rows that are new."""
    text = "__debezium_unavailable_value"
    place.play(PAIR, "ALTER TABLE #.t REPLICA IDENTITY FULL", f"INSERT INTO #.t VALUES (1, '{text}'), (2, 'b')",
               f"UPDATE #.t SET name = '{text}' WHERE id = 2", PAIR.replace("#.t", "#.u"),
               f"INSERT INTO #.u VALUES (1, '{text}')")  # fmt: skip
    copy = place.reversed("t", "u")
    assert (copy.differences(), copy.letters) == ({}, [])


def test_a_table_that_is_dropped_and_made_anew(place: Place) -> None:
    """Nothing tells that its rows are gone: it stops, and says how to begin anew."""
    place.play(*ONE)
    copy = place.copy("t")
    place.play("DROP TABLE #.t", PAIR)
    with pytest.raises(ConfigError, match=r"was dropped and made anew: drop it, DROP TABLE .* cdc snapshot"):
        copy.following.inserts()
    with pytest.raises(ConfigError, match="was dropped and made anew"):
        copy.begin()


def test_a_table_that_has_the_name_of_another_job_s(place: Place) -> None:
    """It names whose that is, and where the other could be copied to; what is there stays."""
    other = f"public.{place.schema}_t"
    place.play(*ONE, f"CREATE TABLE {other} (code text PRIMARY KEY)")
    try:
        copy = place.copy("t")
        copy.catch_up()
        words = (
            rf"_t__cdc in ClickHouse holds {place.schema}\.t, and {other} .* another database in MILLRACE_CLICKHOUSE"
        )
        with pytest.raises(ConfigError, match=words):
            Following(copy.capture.engine, copy.url, Choice((other,))).begin()
        with pytest.raises(ConfigError, match=f"two tables would be called {place.schema}_t, .* another database"):
            Following(copy.capture.engine, copy.url, Choice((f"{place.schema}.t", other))).begin()
        assert copy.read(f"{place.schema}.t") == [(1, "a")]
    finally:
        place.play(f"DROP TABLE {other}")


def test_a_table_that_has_the_name_of_millrace_s_own(place: Place) -> None:
    place.play(*ONE, "CREATE TABLE public.cdc_floors (id int PRIMARY KEY)", PAIR.replace("#.t", "#.t__cdc"))
    try:
        for names in (["public.cdc_floors"], [f"{place.schema}.t", f"{place.schema}.t__cdc"]):
            with pytest.raises(ConfigError, match=r"two tables would be called (cdc_floors|.*_t__cdc) in ClickHouse"):
                Copy(place.capture, place.spark, Choice(tuple(names)))
        copy = place.copy("t")
        with pytest.raises(ConfigError, match=rf"holds {place.schema}\.t, and {place.schema}\.t__cdc would"):
            Following(copy.capture.engine, copy.url, Choice((f"{place.schema}.t__cdc",))).begin()
    finally:
        place.play("DROP TABLE public.cdc_floors")


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("CREATE TABLE `#_t` (id Int32) ENGINE = MergeTree ORDER BY id", "is a table of engine MergeTree"),
        ("CREATE TABLE `#_t__cdc` (id Int32) ENGINE = MergeTree ORDER BY id", "no storage of millrace, .* is Merge"),
        ("CREATE TABLE `#_t__cdc` (id Int32, _version UInt128, _deleted UInt8) ENGINE = "
         "ReplacingMergeTree(_version, _deleted) ORDER BY id", "no storage of millrace"),
    ],
)  # fmt: skip
def test_a_table_of_another_in_the_way(statement: str, words: str, place: Place) -> None:
    place.play(*ONE)
    copy = place.copy()
    copy.client.command(statement.replace("#", place.schema))
    copy.choice = Choice((f"{place.schema}.t",))
    with pytest.raises(ConfigError, match=words):
        copy.begin()


def test_rows_of_snapshots_equal_those_of_the_stream(place: Place) -> None:
    """Digit by digit: the stream alone, an initial snapshot alone and an incremental one alone."""
    load = Workload(place.capture.source, f"{place.schema}x", seed=3)
    load.create()
    try:
        load.run(300)
        # Debezium's snapshots take dates before Christ for dates after it
        place.play(f"UPDATE {load.schema}.everything SET t0 = NULL WHERE t0 < '0001-01-01'")
        choice = Choice(tuple(load.names), as_text=frozenset(load.as_text))
        streamed = Copy(place.capture, place.spark, choice)
        streamed.catch_up()
        place.capture.snapshot(*load.names)
        wait(lambda: snapshots(place.capture.records(load.names)) >= rows_of(load), "snapshot")
        incremental = Copy(place.capture, place.spark, choice)
        incremental.take([each for each in place.capture.records(load.names) if operation(each) == "r"])
        with capturing(place.capture.settings) as anew:
            initial = Copy(anew, place.spark, choice)
            initial.catch_up()
        for copy in (streamed, incremental, initial):
            assert (copy.differences(), copy.letters) == ({}, [])
        told = [[storage(copy, table) for table in load.names] for copy in (streamed, incremental, initial)]
        assert told[0] == told[1] == told[2]
    finally:
        place.play(f"DROP SCHEMA {load.schema} CASCADE")


def test_a_transaction_that_an_incremental_snapshot_overtakes(place: Place) -> None:
    """It wrote before the snapshot's window opens and commits after it closed: the row that was read is older."""
    place.play(*TWO, "INSERT INTO #.t VALUES (3, 'c')")
    table = f"{place.schema}.t"
    with psycopg.connect(place.capture.source) as late:
        late.execute(f"UPDATE {table} SET name = 'late' WHERE id = 1")
        late.execute(f"DELETE FROM {table} WHERE id = 2")
        late.execute(f"UPDATE {table} SET id = 4 WHERE id = 3")
        place.capture.snapshot(table)
        wait(lambda: snapshots(place.capture.records([table])) >= 3, "snapshot")
        late.commit()
    copy = place.reversed("t")
    assert copy.read(table) == [(1, "late"), (4, "c")]
    copy.catch_up()
    assert (copy.differences(), copy.letters) == ({}, [])


def test_no_truncate_comes_between_the_reading_of_a_snapshot_and_its_place(place: Place) -> None:
    """Else rows that were read before it would be newer than it: PostgreSQL lets it wait until the window is closed."""
    place.play(*TWO)
    table = f"{place.schema}.t"
    with has_read(place, table), pytest.raises(psycopg.errors.LockNotAvailable):
        place.play("SET lock_timeout = '100ms'; TRUNCATE #.t")
    place.play("TRUNCATE #.t", "INSERT INTO #.t VALUES (3, 'c')")
    wait(lambda: snapshots(place.capture.records([table])) >= 2, "snapshot")
    copy = place.reversed("t")
    assert copy.read(table) == [(3, "c")]


def test_a_large_value_of_a_row_that_changes_while_a_snapshot_reads_it(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """Debezium sends the change alone, which leaves the value out: that is told, and the next snapshot has it."""
    place.play("CREATE TABLE #.t (id int PRIMARY KEY, n int, body text)",
               "ALTER TABLE #.t ALTER body SET STORAGE EXTERNAL",
               "INSERT INTO #.t SELECT n, 0, repeat(n::text, 5000) FROM generate_series(1, 3) n")  # fmt: skip
    table = f"{place.schema}.t"
    with has_read(place, table):
        place.play("UPDATE #.t SET n = 1 WHERE id = 2")
    wait(lambda: snapshots(place.capture.records([table])) >= 2, "snapshot")
    copy = place.copy("t")

    def come() -> Records:
        """Return the records of a table that was new to the connector."""
        return [each for each in copy.capture.records([table]) if operation(each) in ("r", "u")]

    copy.take(come())
    assert (
        f"{table}: rows without large values that no change carried: 1;" in caplog.text
        and f"`millrace cdc snapshot {table}`" in caplog.text
    )
    assert [row[:2] for row in copy.read(table) if row[2] is None] == [(2, 1)]
    place.capture.snapshot(table)
    wait(lambda: snapshots(place.capture.records([table])) >= 5, "snapshot")
    copy.take(come())
    assert (copy.differences(), copy.letters) == ({}, [])


@contextmanager
def has_read(place: Place, table: str) -> Iterator[None]:
    """Let a snapshot of `table` read it, and close its window after the block alone."""
    source = place.capture.source
    with psycopg.connect(source) as reading, psycopg.connect(source) as closing:
        reading.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        place.capture.snapshot(table)
        wait(lambda: is_held(source, place.schema), "snapshot that waits for the table")
        closing.execute(f"LOCK TABLE {connector.SIGNALS} IN SHARE MODE")
        reading.rollback()
        wait(lambda: is_held(source, "DELETE"), "snapshot that has read, and waits to close its window")
        yield


def is_held(source: str, words: str) -> bool:
    """Return whether a statement with these words waits for a lock."""
    with psycopg.connect(source) as connection:
        held = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND position(%s IN query) > 0"
        row = connection.execute(held, [words]).fetchone()
    return bool(row and row[0])


def test_a_new_generation_leaves_out_what_has_gone(spark: SparkSession, capture: Capture) -> None:
    """Changes were lost, and a new initial snapshot begins: rows that went meanwhile vanish, in any order."""
    with capturing(capture.settings) as own:
        place = Place(own, spark, f"s{uuid.uuid4().hex[:8]}")
        place.play(
            "CREATE SCHEMA #", *TWO, "CREATE TABLE #.empty (id int PRIMARY KEY)", "INSERT INTO #.empty VALUES (1)"
        )
        place.play("UPDATE #.t SET name = 'bb' WHERE id = 2")
        tables = [f"{place.schema}.{name}" for name in ("t", "empty")]
        first = own.records(tables)
        own.stop()
        place.play("DELETE FROM #.t WHERE id = 1", "INSERT INTO #.t VALUES (3, 'c')", "DELETE FROM #.empty")
        own.start()
        place.play("UPDATE #.t SET name = 'cc' WHERE id = 3")
        copy = place.copy("t", "empty")
        copy.take(first)
        assert copy.read(tables[0]) == [(1, "a"), (2, "bb")]
        copy.take(own.records([*tables, "public.cdc_marks"]))
        assert copy.read(tables[0]) == [(2, "bb"), (3, "cc")]
        assert copy.differences() == {}
        other = place.copy("t", "empty")
        other.take(own.records(tables)[::-1], first)
        assert other.differences() == {}
        place.play("DROP SCHEMA # CASCADE")


def poison(records: Records, table: str) -> Records:
    """Return records of a topic that no Debezium of ours wrote, each with the right value of the first one within."""
    right = next(each for each in records if operation(each) == "c")
    change = json.loads(right["value"])
    source = change["source"]
    values = [
        b"",
        b"no JSON",
        b"\xff\xfe",
        b"[]",
        right["value"][:-9],
        json.dumps({"schema": {}, "payload": change}).encode(),
        json.dumps({}).encode(),
        json.dumps(change | {"op": "x"}).encode(),
        json.dumps(change | {"after": None}).encode(),
        json.dumps(change | {"source": None}).encode(),
        json.dumps(change | {"source": source | {"table": "unknown"}}).encode(),
        json.dumps(change | {"source": source | {"lsn": None, "sequence": None}}).encode(),
        json.dumps(change | {"source": source | {"lsn": -1, "sequence": None}}).encode(),
        json.dumps(change | {"after": {"id": None, "name": "x"}}).encode(),
        json.dumps(change | {"after": {"id": "none", "name": "x"}}).encode(),
        json.dumps(change | {"after": {"name": "x"}}).encode(),
        json.dumps(change | {"after": {"id": 1 << 40, "name": "x"}}).encode(),
        json.dumps(change | {"op": "d", "before": {}, "after": None}).encode(),
    ]
    return [right | {"value": value, "offset": 1_000 + place} for place, value in enumerate(values)]


def test_poison_is_put_aside_and_all_else_goes_on(place: Place) -> None:
    """Broken envelopes and rows that are none: a dead letter each, with its reason."""
    place.play(*TWO, "UPDATE #.t SET name = 'c' WHERE id = 1")
    copy, table = place.copy("t"), f"{place.schema}.t"
    records = copy.capture.records([table])
    bad = poison(records, table)
    mixed = [*records, *bad]
    random.Random(1).shuffle(mixed)
    copy.take(mixed)
    assert copy.differences() == {}
    assert sorted(each["offset"] for each in copy.letters) == [each["offset"] for each in bad]
    assert all(each["reason"] and each["topic"] == bad[0]["topic"] for each in copy.letters)


def test_a_value_that_clickhouse_has_not_is_put_aside(place: Place) -> None:
    """A dead letter that names the column and what keeps it; all other rows of the block are there."""
    place.play("CREATE TABLE #.t (id int PRIMARY KEY, price numeric(8,2), day date, at timestamptz, far timestamp)",
               "INSERT INTO #.t SELECT n, n, '2024-02-29', '2024-02-29 12:00+00', '4714-11-24 BC' FROM"
               " generate_series(1, 50) n",
               "UPDATE #.t SET price = 'NaN' WHERE id = 7", "UPDATE #.t SET day = 'infinity' WHERE id = 8",
               "UPDATE #.t SET at = '-infinity' WHERE id = 9",
               "UPDATE #.t SET far = '294276-12-31 23:59:59.999999' WHERE id = 10")  # fmt: skip
    table = f"{place.schema}.t"
    copy = place.copy("t", as_text=frozenset([f"{table}.far"]))
    copy.catch_up()
    for column in ("price", "day", "at", "far"):
        words = f"column {column}:", f"--as-text {table}.{column}"
        assert [all(word in each["reason"] for word in words) for each in copy.letters].count(True) == 1
    assert len(copy.letters) == 4
    assert len(copy.read(table)) == 50


def test_a_large_row(place: Place) -> None:
    place.play(PAIR, "INSERT INTO #.t SELECT 1, string_agg(md5(n::text), '') FROM generate_series(1, 400000) n",
               "INSERT INTO #.t VALUES (2, 'b')")  # fmt: skip
    copy = place.copy("t")
    copy.catch_up()
    assert (copy.differences(), copy.letters) == ({}, [])


def test_a_table_that_is_dropped_leaves_the_others(place: Place) -> None:
    place.play(*ONE, "CREATE TABLE #.u (id int PRIMARY KEY)", "INSERT INTO #.u VALUES (1)")
    copy = place.copy("t", "u")
    place.play("INSERT INTO #.u VALUES (2)", "DROP TABLE #.u", "INSERT INTO #.t VALUES (2, 'b')")
    copy.catch_up()
    assert copy.read(f"{place.schema}.t") == [(1, "a"), (2, "b")]
    assert copy.read(f"{place.schema}.u") == [(1,), (2,)]
    assert copy.letters == []


def chunks(records: Records, draw: random.Random) -> Iterator[Records]:
    while records:
        size = draw.randint(1, 2_500)
        yield records[:size]
        records = records[size:]


def twice(records: Records, draw: random.Random) -> Iterator[Records]:
    for batch in chunks(records, draw):
        yield from (batch, batch)


def replayed(records: Records, draw: random.Random) -> Iterator[Records]:
    yield from chunks(records, draw)
    yield records


def shuffled(records: Records, draw: random.Random) -> Iterator[Records]:
    return chunks(draw.sample(records, len(records)), draw)


@dataclass
class Worked:
    """What a workload left: its tables, and the records that Kafka has of them."""

    load: Workload
    records: Records


@pytest.fixture(scope="module")
def worked(capture: Capture) -> Iterator[Worked]:
    load = Workload(capture.source, f"w{uuid.uuid4().hex[:8]}", seed=1)
    load.create()
    load.run(OPERATIONS)
    yield Worked(load, capture.records(load.names))
    capture.execute(f"DROP SCHEMA {load.schema} CASCADE")


@pytest.mark.parametrize("deliver", [chunks, twice, replayed, shuffled])
def test_a_random_workload(deliver: Deliver, worked: Worked, capture: Capture, spark: SparkSession) -> None:
    """Row by row and value by value, however the records of Kafka come."""
    copy = Copy(capture, spark, Choice(tuple(worked.load.names), as_text=frozenset(worked.load.as_text)))
    copy.take(*deliver(worked.records, random.Random(1)))
    assert (copy.differences(), copy.letters) == ({}, [])


def test_a_random_workload_whose_old_rows_are_keys_alone(capture: Capture, spark: SparkSession) -> None:
    """With the default identity, TOAST leaves out what did not change."""
    load = Workload(capture.source, f"w{uuid.uuid4().hex[:8]}", seed=2, full=False)
    load.create()
    load.run(OPERATIONS // 3)
    copy = Copy(capture, spark, Choice(tuple(load.names), as_text=frozenset(load.as_text)))
    copy.take(*shuffled(capture.records(load.names), random.Random(2)))
    assert (copy.differences(), copy.letters) == ({}, [])
    capture.execute(f"DROP SCHEMA {load.schema} CASCADE")


def operation(record: dict[str, Any]) -> str | None:
    return json.loads(record["value"])["op"] if record["value"] else None


def snapshots(records: Records) -> int:
    return sum(operation(each) == "r" for each in records)


def rows_of(load: Workload) -> int:
    with psycopg.connect(load.url) as connection:
        counts = [connection.execute(f"SELECT count(*) FROM {name}").fetchone() for name in load.names]
    return sum(row[0] for row in counts if row)


def storage(copy: Copy, table: str) -> list[tuple[Any, ...]]:
    """Return rows as ClickHouse prints them, of which no client takes anything away."""
    replica = copy.following.replicas[table]
    return copy.client.raw_query(f"SELECT * FROM {replica.view} ORDER BY {replica.order}", fmt="TSV").splitlines()
