"""Whether verify tells equal rows equal, and any others apart: all types with their limits, on real servers."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest
from kafka import KafkaProducer
from sqlalchemy import Engine, text
from tests.support import Child
from tests.verifying import Copied

from millrace import config
from millrace.cdc.follow import Choice
from millrace.cdc.verify.compare import Verifying
from millrace.cdc.verify.reached import Stream
from millrace.cdc.verify.target import Target
from millrace.cdc.verify.verdict import ALONE, DIFFERENT, MISSING, Table, Verdict
from millrace.config import Settings
from millrace.errors import ConfigError
from millrace.kafka import topics
from millrace.kafka.topics import Topic
from millrace.sinks.sql import database

NAMES = count(1)
DAY = 86_400_000_000  # microseconds
IDES = -735_160  # days since 1970
# Values of PostgreSQL and what Debezium 3.7 was seen to send of them, by type. Those of a type are all different.
VALUES: dict[str, list[tuple[str, Any]]] = {
    "bool": [("true", True), ("false", False)],
    "int2": [("-32768", -32768), ("32767", 32767)],
    "int4": [("-2147483648", -(2**31)), ("2147483647", 2**31 - 1)],
    "int8": [("-9223372036854775808", -(2**63)), ("9223372036854775807", 2**63 - 1)],
    "oid": [("0", 0), ("4294967295", 2**32 - 1)],
    "float4": [("-0", -0.0), ("0", 0.0), ("NaN", "NaN"), ("-Infinity", "-Infinity"), ("1.1", 1.1), ("1e-45", 1.4e-45)],
    "float8": [
        ("-0", -0.0),
        ("0", 0.0),
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("5e-324", 4.9e-324),
        ("1e21", 1e21),
    ],
    "numeric(10,2)": [("1.10", "1.10"), ("-0.01", "-0.01"), ("99999999.99", "99999999.99")],
    "numeric(76,0)": [("9" * 76, "9" * 76), ("-" + "9" * 76, "-" + "9" * 76)],
    "numeric(3,5)": [("0.00123", "0.00123"), ("-0.00999", "-0.00999")],
    "numeric(3,-2)": [("12300", "12300." + "0" * 2046), ("-99900", "-99900." + "0" * 2046)],
    "numeric": [
        ("1.10", "1.10"),
        ("1.1", "1.1"),
        ("0.000", "0.000"),
        ("NaN", "NAN"),
        ("-Infinity", "NEGATIVE_INFINITY"),
    ],
    "uuid": [("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), ("0" * 32, "0" * 32)],
    "bytea": [("", ""), ("\\x00", "AA=="), ("\\xdeadbeef", "3q2+7w==")],
    "date": [("0001-01-01", -719162), ("1899-12-31", -25568), ("2300-01-01", 120530), ("9999-12-31", 2932896)],
    "timestamp": [
        ("0001-01-01", -719162 * DAY),
        ("1969-12-31 23:59:59.999999", -1),
        ("1970-01-01 00:00:00.1", 100_000),
    ],
    "timestamp(0)": [("9999-12-31 23:59:59", 2932897 * DAY - 1_000_000)],
    "timestamptz": [
        ("1969-12-31 23:59:59.999999+00", "1969-12-31T23:59:59.999999Z"),
        ("2026-11-28 15:00:00.000001-03", "2026-11-28T18:00:00.000001Z"),
    ],
    "time": [("00:00:00", 0), ("23:59:59.999999", DAY - 1), ("12:00:00.1", DAY // 2 + 100_000)],
    "interval": [
        ("1 year 2 months 3 days 04:05:06.789", "P1Y2M3DT4H5M6.789S"),
        ("-1 year -2 months -3 days -04:05:06.789", "P-1Y-2M-3DT-4H-5M-6.789S"),
        ("1 year -2 months", "P0Y10M0DT0H0M0S"),
        ("26:00:00", "P0Y0M0DT26H0M0S"),
    ],
    "text": [
        (each, each) for each in ("", "NULL", "a\tb\nc", "'\"\\", "😀\u2028", "x" * 5000, " trailing ", "trailing ")
    ],
    "varchar(10)": [("ab  ", "ab  "), ("ab", "ab")],
    "char(5)": [("ab", "ab   "), ("abcde", "abcde")],
    "name": [("a name", "a name"), ("a", "a")],
    '"char"': [("x", "x"), ("y", "y")],
    "verified_mood": [("ok, fine", "ok, fine"), ("NULL", "NULL")],
    "verified_domain": [("1.50", "1.50"), ("2.00", "2.00")],
    "json": [('{"a": 1,  "a":[1,2]}', '{"a": 1,  "a":[1,2]}'), ("null", "null"), ('"\\u00e9\\/"', '"\\u00e9\\/"')],
    "jsonb": [('{"b": 1,"a":1.10}', '{"a": 1.10, "b": 1}'), ("null", "null")],
    "xml": [("<a>1</a>", "<a>1</a>"), ("<a/>", "<a/>")],
    "inet": [("192.168.0.1", "192.168.0.1"), ("192.168.0.1/24", "192.168.0.1/24"), ("::1", "::1")],
    "cidr": [("10.0.0.1/32", "10.0.0.1/32"), ("::/0", "::/0")],
    "macaddr": [("08:00:2b:01:02:03", "08:00:2b:01:02:03"), ("00:00:2b:01:02:03", "00:00:2b:01:02:03")],
    "int4range": [("[1,4]", "[1,5)"), ("empty", "empty"), ("(,5]", "(,6)")],
    "tsvector": [("a fat cat", "'a' 'cat' 'fat'"), ("'a':2", "'a':2")],
    "bit(1)": [("0", False), ("1", True)],
    "bit(17)": [("0" * 17, ""), ("1" + "0" * 15 + "1", "AQAB"), ("0" * 16 + "1", "AQ==")],
    "bool[]": [("{}", []), ("{t,f,NULL}", [True, False, None])],
    "int8[]": [("{NULL}", [None]), ("{}", []), ("{-9223372036854775808,NULL}", [-(2**63), None])],
    "float4[]": [("{-0,NaN,NULL,0}", [-0.0, "NaN", None, 0.0]), ("{0,NaN,NULL,0}", [0.0, "NaN", None, 0.0])],
    "float8[]": [("{-0,1.1,-0}", [-0.0, 1.1, -0.0]), ("{Infinity}", ["Infinity"])],
    "uuid[]": [("{NULL,A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}", [None, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"])],
    "text[]": [
        ('{"null",NULL,"","4:null,","x:y","{}","é😀"}', ["null", None, "", "4:null,", "x:y", "{}", "é😀"]),
        ('{"a,b"}', ["a,b"]),
        ("{a,b}", ["a", "b"]),
        ("{}", []),
        ("{NULL}", [None]),
        ('{""}', [""]),
    ],
    "char(3)[]": [("{a,NULL}", ["a  ", None]), ("{abc}", ["abc"])],
    "date[]": [("{0001-01-01,NULL}", [-719162, None]), ("{}", [])],
    "timestamp[]": [("{1969-12-31 23:59:59.999999,NULL}", [-1, None]), ("{}", [])],
    "timestamptz[]": [("{2026-11-28 15:00:00.1+00,NULL}", ["2026-11-28T15:00:00.100000Z", None]), ("{}", [])],
}
# Of --as-text, streamed
TEXTS: dict[str, list[tuple[str, Any]]] = {
    "date": [
        ("infinity", 2_146_033_979),
        ("-infinity", -2_147_472_691),
        ("0044-03-15 BC", IDES),
        ("10000-01-01", 2_932_897),
    ],
    "timestamp": [
        ("infinity", 2**63 - 1),
        ("-infinity", -(2**63)),
        ("0044-03-15 12:00:00.5 BC", IDES * DAY + DAY // 2 + 500_000),
    ],
    "timestamptz": [
        ("infinity", "infinity"),
        ("0044-03-15 12:00:00.5+00 BC", "-0043-03-15T12:00:00.500000Z"),
        ("294276-12-31 23:59:59.999999+00", "+294276-12-31T23:59:59.999999Z"),
    ],
    "numeric(10,2)": [("NaN", "NAN"), ("1.10", "1.10")],
    "time": [("24:00:00", DAY), ("12:00:00.5", DAY // 2 + 500_000)],
    "interval": [("00:00:00.5", "P0Y0M0DT0H0M0.5S"), ("1 year", "P1Y0M0DT0H0M0S")],
    "bool": [("true", True), ("false", False)],
    "bit(1)": [("0", False), ("1", True)],
    "money": [("-1234.50", "-1234.50"), ("1", "1.00")],
    "pg_lsn": [("0/1A", "MC8xQQ=="), ("0/0", "MC8w")],
    "int4multirange": [("{[1,3),[5,8)}", "e1sxLDMpLFs1LDgpfQ=="), ("{}", "e30=")],
}  # fmt: skip


@pytest.fixture(scope="module")
def settings(postgres: Settings, clickhouse: Settings) -> Settings:
    return config.load(home=clickhouse.home)


@pytest.fixture(scope="module")
def source(settings: Settings) -> Iterator[Engine]:
    engine = database.connect(str(settings.cdc_source))
    with engine.begin() as connection:
        connection.execute(text("DROP TYPE IF EXISTS verified_mood CASCADE"))
        connection.execute(text("CREATE TYPE verified_mood AS ENUM ('ok, fine', 'NULL')"))
        connection.execute(text("DROP DOMAIN IF EXISTS verified_domain CASCADE"))
        connection.execute(text("CREATE DOMAIN verified_domain AS numeric(6,2)"))
    yield engine
    engine.dispose()


@pytest.fixture
def made(settings: Settings, source: Engine) -> Iterator[Callable[..., Copied]]:
    """Make a table with a copy: made("id int PRIMARY KEY, ...", as_text)."""
    found: list[Copied] = []

    def make(columns: str, as_text: frozenset[str] = frozenset()) -> Copied:
        name = f"public.verified_{next(NAMES)}"
        with source.begin() as connection:
            connection.execute(text(f"DROP TABLE IF EXISTS {name}"))
            connection.execute(text(f"CREATE TABLE {name} ({columns})".replace(":", r"\:")))
            connection.execute(text(f"ALTER TABLE {name} REPLICA IDENTITY FULL"))
        found.append(Copied(settings, source, name, as_text))
        return found[-1]

    yield make
    for each in found:
        each.write(f"DROP TABLE {each.table}")
        each.target.command(f"DROP VIEW {each.replica.view}")
        each.target.command(f"DROP TABLE {each.replica.storage}")


@dataclass
class Rounds:
    """A stream that does something whenever it is waited for; `behind` is what it says."""

    source: Engine
    steps: list[Callable[[], object]] = field(default_factory=list)
    behind: str = ""

    def wait(self, lsn: int, seconds: float, tell: object) -> str:
        if self.steps:
            self.steps.pop(0)()
        return self.behind


@contextmanager
def no_bar(label: str, total: int, unit: str) -> Iterator[Callable[[int], object]]:
    yield lambda count: None


def verify(copied: Copied, *steps: Callable[[], object], limit: int = 20) -> Verdict:
    stream: Any = Rounds(copied.source, list(steps))
    verifying = Verifying(stream, Target(copied.settings.clickhouse), limit, 0, no_bar, lambda text: None)
    return verifying.run(copied.following.choice)


def table(copied: Copied, *steps: Callable[[], object], limit: int = 20) -> Table:
    (found,) = verify(copied, *steps, limit=limit).tables
    return found


def fill(
    made: Callable[..., Copied], values: dict[str, list[tuple[str, Any]]], *, texts: bool, shift: int = 0
) -> Copied:
    """Return a table with a column a type and a row a value, all null in one; the copy has those of `shift` rows on."""
    names = [f"c{place}" for place in range(len(values))]
    columns = ", ".join(f"{name} {declared}" for name, declared in zip(names, values, strict=True))
    copied = made(f"id int PRIMARY KEY, {columns}", frozenset(names) if texts else frozenset())
    most = max(map(len, values.values()))
    casts = ", ".join(f"CAST(:c{place} AS {declared})" for place, declared in enumerate(values))
    insert = text(f"INSERT INTO {copied.table} VALUES (:id, {casts})")
    rows = []
    with copied.source.begin() as source:
        for n in range(most + 1):
            given = [each[n % len(each)][0] if n < most else None for each in values.values()]
            source.execute(insert, {"id": n, **dict(zip(names, given, strict=True))})
            sent = [each[(n + shift) % len(each)][1] if n < most else None for each in values.values()]
            rows.append({"id": n, **dict(zip(names, sent, strict=True))})
    copied.merge(*rows)
    return copied


@pytest.mark.parametrize(("values", "texts"), [(VALUES, False), (TEXTS, True)], ids=["types", "texts"])
def test_equal_values_are_equal(made, values, texts):
    copied = fill(made, values, texts=texts)
    found = table(copied)
    assert found.differences == () and found.equal == found.rows == max(map(len, values.values())) + 1
    assert found.left_out == ()


@pytest.mark.parametrize(("values", "texts"), [(VALUES, False), (TEXTS, True)], ids=["types", "texts"])
def test_another_value_is_told_of_every_type(made, values, texts):
    copied = fill(made, values, texts=texts, shift=1)
    found = table(copied)
    for place, (declared, each) in enumerate(values.items()):
        told = {int(row.key["id"]) for row in found.differences for cell in row.cells if cell.column == f"c{place}"}
        most = max(map(len, values.values()))
        assert told == (set(range(most)) if len(each) > 1 else set()), declared


@pytest.mark.parametrize(
    "value", ["infinity", "-infinity", "0044-03-15 BC", "10000-01-01"]
)  # fmt: skip
def test_times_that_clickhouse_cannot_hold_are_not_null(made, value):
    copied = made("id int PRIMARY KEY, d date, t timestamp, z timestamptz, ds date[], zs timestamptz[]")
    copied.write(
        f"INSERT INTO {copied.table} SELECT 1, v::date, v, v, ARRAY[v::date], ARRAY[v]"
        f" FROM (SELECT timestamp '{value}' AS v) AS v"
    )
    copied.merge({"id": 1, "ds": [None], "zs": [None]})
    (difference,) = table(copied).differences
    assert [cell.column for cell in difference.cells] == ["d", "t", "z", "ds", "zs"]


@pytest.mark.parametrize("array", ["{{1,2},{3,4}}", "[0:3]={1,2,3,4}"])
def test_an_array_of_another_shape_is_another(made, array):
    copied = made("id int PRIMARY KEY, n int[]")
    copied.write(f"INSERT INTO {copied.table} VALUES (1, '{array}'), (2, '{{1,2,3,4}}')")
    copied.merge({"id": 1, "n": [1, 2, 3, 4]}, {"id": 2, "n": [1, 2, 3, 4]})
    assert [each.key for each in table(copied).differences] == [{"id": "1"}]


def test_a_text_that_postgresql_cannot_tell_is_left_out_and_named(made):
    copied = made("id int PRIMARY KEY, p point, n int", frozenset({"p"}))
    copied.write(f"INSERT INTO {copied.table} VALUES (1, '(1,2)', 1)")
    copied.merge({"id": 1, "p": {"x": 1, "y": 2}, "n": 1})
    found = verify(copied)
    assert found.equal and found.tables[0].left_out == ("p",) and f"{copied.table}.p" in found.text


ROWS = [
    {"id": n, "amount": f"{n}.10", "name": f"b{n}", "note": None if n % 2 else "", "tags": ["x", None], "bits": "AA==",
     "at": f"2026-11-28T15:00:00.00000{n}Z"}
    for n in range(9)
]  # fmt: skip
SPOILED = {
    "missing": ("DELETE WHERE id = 3", MISSING, []),
    "one digit": ("UPDATE amount = 3.11 WHERE id = 3", DIFFERENT, [("amount", "3.10", "3.11")]),
    "empty for null": ("UPDATE note = '' WHERE id = 3", DIFFERENT, [("note", None, "")]),
    "null for empty": ("UPDATE note = NULL WHERE id = 2", DIFFERENT, [("note", "", None)]),
    "a blank behind": ("UPDATE name = 'b3 ' WHERE id = 3", DIFFERENT, [("name", "b3", "b3 ")]),
    "a microsecond": (
        "UPDATE at = addMicroseconds(at, 1) WHERE id = 3",
        DIFFERENT,
        [("at", "2026-11-28 15:00:00.000003", "2026-11-28 15:00:00.000004")],
    ),
    "null in an array": (
        "UPDATE tags = CAST(['x', 'null'], 'Array(Nullable(String))') WHERE id = 3",
        DIFFERENT,
        [("tags", "1:x,null", "1:x,4:null")],
    ),
    "a byte": ("UPDATE bits = unhex('01') WHERE id = 3", DIFFERENT, [("bits", "00", "01")]),
    "two columns": (
        "UPDATE name = 'b', amount = 0 WHERE id = 3",
        DIFFERENT,
        [("amount", "3.10", "0.00"), ("name", "b3", "b")],
    ),
}


@pytest.fixture
def small(made: Callable[..., Copied]) -> Copied:
    copied = made(
        "id int PRIMARY KEY, amount numeric(10,2), name text, note text, at timestamptz, tags text[],"
        " bits bytea NOT NULL"
    )
    copied.write(
        f"INSERT INTO {copied.table} SELECT n, n + 0.1, 'b' || n, CASE WHEN n % 2 = 0 THEN '' END,"
        " timestamptz '2026-11-28 15:00:00Z' + n * interval '1 microsecond', ARRAY['x', NULL], '\\x00'"
        " FROM generate_series(0, 8) AS n"
    )
    copied.merge(*ROWS)
    return copied


def test_nothing_differs_before_anything_is_spoiled(small):
    found = verify(small)
    assert found.equal and found.tables[0].equal == 9


@pytest.mark.parametrize("name", list(SPOILED))
def test_a_spoiled_cell_is_named(small, name):
    statement, what, cells = SPOILED[name]
    small.spoil(statement)
    found = verify(small)
    (difference,) = found.tables[0].differences
    assert not found.equal and found.tables[0].equal == 8
    assert difference.key == {"id": "2" if "id = 2" in statement else "3"} and difference.what == what
    assert [(cell.column, cell.source, cell.target) for cell in difference.cells] == cells


def test_a_row_too_many_is_named(small):
    small.merge(ROWS[3] | {"id": 99})
    found = table(small)
    assert found.rows == found.equal == 9 and found.differing == 1
    assert [(each.key, each.what) for each in found.differences] == [({"id": "99"}, ALONE)]


def test_a_delete_that_did_not_come_is_named(small):
    small.write(f"DELETE FROM {small.table} WHERE id = 4")
    assert [(each.key, each.what) for each in table(small).differences] == [({"id": "4"}, ALONE)]


def test_differences_are_counted_and_some_listed(small):
    small.spoil("UPDATE name = 'x' WHERE id > 2")
    found = table(small, limit=2)
    assert (found.differing, found.equal, len(found.differences), found.more) == (6, 3, 2, False)


def test_long_texts_are_cut_where_they_begin_to_differ(small):
    small.write(f"UPDATE {small.table} SET name = repeat('é', 5000) || 'a' WHERE id = 3")
    small.merge(ROWS[3] | {"name": "é" * 5000 + "b"})
    (cell,) = table(small).differences[0].cells
    assert len(str(cell.source)) < 250 and str(cell.source).endswith("éa") and str(cell.target).endswith("éb")


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        ("text", ["a,b", "", "'\"\\", "ä ☕", "a%b :c"]),
        ("char(5)", ["ab   ", "abcde"]),
        ("numeric", ["1.10", "2"]),
        ("bytea", ["AA==", "/w=="]),
        ("float8", [-0.5, 1e21, "NaN"]),
        ("date", [-719162, 20785]),
        ("timestamptz", ["2026-11-28T15:00:00.000001Z", "1969-12-31T23:59:59.999999Z"]),
        ("uuid", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
        ("interval", ["P1Y2M0DT0H0M0S"]),
        ("verified_mood", ["NULL"]),
        ("inet", ["192.168.0.1"]),
    ],
)
def test_rows_are_found_by_any_key(made, declared, values):
    """Each row that is there alone is looked up at the source, by the text that ClickHouse has of its key."""
    copied = made(f'"k:1" {declared}, "k%2" int, v text, PRIMARY KEY ("k%2", "k:1")')
    rows = [{"k:1": value, "k%2": n, "v": "a"} for n, value in enumerate(values)]
    copied.merge(*rows)
    found = table(copied)
    assert found.differing == len(rows) and {each.what for each in found.differences} == {ALONE}
    assert {each.key["k%2"] for each in found.differences} == {str(n) for n in range(len(values))}
    sent = {"bytea": "decode(v, 'base64')", "date": "date '1970-01-01' + v::int"}.get(declared, f"v::{declared}")
    with copied.source.begin() as source:
        for n, value in enumerate(values):
            insert = f"INSERT INTO {copied.table} SELECT {sent}, {n}, 'b' FROM (SELECT CAST(:v AS text) AS v) AS given"
            source.execute(text(insert.replace("::", r"\:\:")), {"v": str(value)})
    found = table(copied)
    assert [each.what for each in found.differences] == [DIFFERENT] * len(rows)
    assert {cell.column for each in found.differences for cell in each.cells} == {"v"}


def test_names_of_columns_may_hold_anything(made):
    names = [
        'a"b',
        "a:b",
        ":b",
        "a%b",
        "a'b",
        "a\\b",
        "a`b",
        "t0",
        "t1",
        "item",
        "place",
        "key",
        "hash",
        "select",
        "ä ☕",
    ]
    quoted = ['"{}"'.format(name.replace('"', '""')) for name in names]
    copied = made(f"id int PRIMARY KEY, {', '.join(f'{name} text' for name in quoted)}")
    copied.write(f"INSERT INTO {copied.table} VALUES (1, {', '.join(f'{n}' for n in range(len(names)))})")
    copied.merge({"id": 1, **{name: str(n) for n, name in enumerate(names)}})
    assert verify(copied).equal
    copied.merge({"id": 1, **{name: f"{n}!" for n, name in enumerate(names)}})
    assert [cell.column for cell in table(copied).differences[0].cells] == names


def test_many_blocks_and_buckets(made):
    copied = made("id int PRIMARY KEY, filler text")
    copied.write(f"INSERT INTO {copied.table} SELECT n, repeat('x', 2000) FROM generate_series(1, 9000) AS n")
    copied.merge(*({"id": n, "filler": "x" * 2000} for n in range(1, 9001) if n != 4711))
    found = table(copied)
    assert (found.rows, found.equal, found.differing) == (9000, 8999, 1)
    assert found.differences[0].key == {"id": "4711"}


def test_partitions_are_read_as_one_table(made):
    copied = made("id int PRIMARY KEY, v text) PARTITION BY RANGE (id")
    name = copied.table
    copied.write(
        f"CREATE TABLE {name}_low PARTITION OF {name} FOR VALUES FROM (0) TO (10)",
        f"CREATE TABLE {name}_high PARTITION OF {name} FOR VALUES FROM (10) TO (20000)",
        f"INSERT INTO {name} SELECT n, repeat('x', 900) FROM generate_series(0, 11999) AS n",
    )
    copied.merge(*({"id": n, "v": "x" * 900} for n in range(12000)))
    found = table(copied)
    assert (found.rows, found.equal) == (12000, 12000)


def change(copied: Copied, number: int) -> Callable[[], object]:
    """Return what updates row 5 on both sides, each time to another text."""
    texts = count()

    def step() -> None:
        name = f"{number}-{next(texts)}"
        copied.write(f"UPDATE {copied.table} SET name = '{name}' WHERE id = 5")
        copied.merge(ROWS[5] | {"name": name})

    return step


def test_a_row_that_changed_meanwhile_is_equal(small):
    found = table(small, change(small, 1))
    assert (found.equal, found.differing, found.moving) == (9, 0, 0)


def test_a_row_that_always_changes_is_told_apart_from_what_differs(small):
    small.spoil("UPDATE name = 'x' WHERE id = 3")
    found = verify(small, *[change(small, 1)] * 9)
    only = found.tables[0]
    assert (only.equal, only.differing, only.moving) == (7, 1, 1)
    assert [each.key for each in only.differences] == [{"id": "3"}] and not found.equal


def test_a_row_that_always_changes_alone_is_no_difference(small):
    found = verify(small, *[change(small, 1)] * 9)
    assert found.equal and found.tables[0].moving == 1 and "1 keys changed" in found.text


def test_a_row_that_is_inserted_and_deleted_meanwhile_is_none(small):
    steps = [lambda: small.merge(ROWS[1] | {"id": 77}), lambda: small.merge({"id": 77}, gone=True)]
    found = table(small, *steps)
    assert (found.equal, found.differing, found.moving) == (9, 0, 0)


def test_a_change_that_clickhouse_lost_differs_though_others_go_on(small):
    """The source changes row 5 twice; the copy has the first change alone, and nothing newer ever comes."""
    first = change(small, 1)

    def both() -> None:
        first()
        small.write(f"UPDATE {small.table} SET name = 'lost' WHERE id = 5")

    found = table(small, both)
    assert (found.differing, found.moving) == (1, 0)
    assert [(cell.source, cell.target) for cell in found.differences[0].cells] == [("lost", "1-0")]


def test_what_is_not_there_is_said(settings, source, made):
    with pytest.raises(ConfigError, match="no such table"):
        verify_choice(settings, source, "public.nowhere")
    copied = made("id int PRIMARY KEY")
    copied.write(f"ALTER TABLE {copied.table} ADD COLUMN more int")
    with pytest.raises(ConfigError, match="more; the job adds them"):
        verify(copied)
    copied.write("DROP TABLE IF EXISTS verified_not_copied", "CREATE TABLE verified_not_copied (id int PRIMARY KEY)")
    with pytest.raises(ConfigError, match="not in ClickHouse yet"):
        verify_choice(settings, source, "public.verified_not_copied")


def verify_choice(settings: Settings, source: Engine, name: str) -> Verdict:
    stream: Any = Rounds(source)
    return Verifying(stream, Target(settings.clickhouse), 1, 0, no_bar, lambda text: None).run(Choice((name,)))


def test_the_way_is_waited_for_step_by_step(settings, source, tmp_path):
    topic, slot = f"verified.way{next(NAMES)}", "verified_way"
    stream = Stream(source, slot, settings.kafka_bootstrap, [topic], tmp_path)
    with source.begin() as connection:
        connection.execute(
            text("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = :s"),
            {"s": slot},
        )
    assert f"no slot {slot}" in stream.wait(1, 60)
    with source.begin() as connection:
        connection.execute(text("SELECT pg_create_logical_replication_slot(:s, 'pgoutput')"), {"s": slot})
    try:
        with source.begin() as connection:
            lsn = connection.execute(
                text("SELECT (pg_logical_emit_message(false, 'x', 'y', true) - '0/0'\\:\\:pg_lsn)\\:\\:bigint")
            ).scalar_one()
        assert "is behind the source, and no connector reads it" in stream.wait(lsn, 0)
        with source.begin() as connection:
            connection.execute(text("SELECT pg_replication_slot_advance(:s, pg_current_wal_insert_lsn())"), {"s": slot})
        assert stream.wait(lsn, 0) == ""  # nothing was ever captured
        topics.create(settings.kafka_bootstrap, [Topic(topic, "none", "none")], 1)
        assert stream.wait(lsn, 0) == ""
        producer = KafkaProducer(bootstrap_servers=settings.kafka_bootstrap)
        place = producer.send(topic, b"{}").get(30)
        producer.close()
        assert "1 records to read, and none runs" in stream.wait(lsn, 60)
        tell(tmp_path, topic, place.partition, 0)
        assert stream.wait(lsn, 0) == "the job has 1 records to read"
        tell(tmp_path, topic, place.partition, place.offset + 1)
        assert stream.wait(lsn, 0) == ""
    finally:
        with source.begin() as connection:
            connection.execute(text("SELECT pg_drop_replication_slot(:s)"), {"s": slot})


def tell(home: Path, topic: str, partition: int, offset: int) -> None:
    """Tell progress as a job that lives."""
    (home / "run").mkdir(exist_ok=True)
    told = {"job": "cdc", "pid": psutil.Process().pid, "end_offsets": {topic: {str(partition): offset}}}
    (home / "run" / "cdc.json").write_text(json.dumps(told))


def test_the_command_says_what_differs_and_keeps_the_verdict(small, settings):
    def run() -> Child:
        child = Child(
            settings.home, "cdc", "verify", "--tables", small.table, "--wait", "0", "--home", str(settings.home)
        )
        child.ends()
        return child

    assert run().process.returncode == 0
    kept = settings.home / "run" / "cdc-verify.json"
    assert json.loads(kept.read_text())["equal"] is True
    small.spoil("UPDATE name = 'b3 ' WHERE id = 3")
    child = run()
    assert child.process.returncode == 1 and "'b3 '" in child.text() and "1 keys differ" in child.text()
    verdict = json.loads(kept.read_text())
    assert verdict["equal"] is False and verdict["tables"][0]["differences"][0]["key"] == {"id": "3"}
