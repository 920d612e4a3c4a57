"""A seeded random workload against PostgreSQL by two writers at once: what change data capture has to follow.

Plain psycopg alone, and nothing of millrace.cdc. Every statement may meet what the other writer did: what PostgreSQL
refuses is rolled back, as applications do it.
"""

import json
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg

Draw = Callable[[random.Random], Any]
WRITERS = 2
KEYS = 40  # of each table, so that the writers meet
PIECES = (
    *("", " ", "a", "Z", "0", "null", "NULL", "NaN", "\\N", "\\", "'", '"', "`", ",", "{", "}", "%"),
    *("\t", "\n", "\r\n"),
    *("\x01", "\x7f", "\u0085", "\u2028", "\ufeff", "\uffff"),
    *("ß", "é", "e\u0301", "猫", "مرحبا", "🐈", "👩‍👩‍👧", "\U0010ffff"),
)  # fmt: skip


def text(draw: random.Random) -> str:
    return "".join(draw.choices(PIECES, k=draw.randint(0, 6)))


def large(draw: random.Random) -> str:
    """Text that is stored out of line, however it is compressed."""
    return text(draw) + draw.randbytes(draw.randint(1_500, 3_000)).hex()


def large_document(draw: random.Random) -> str:
    return json.dumps({"a": large(draw)})


def array(item: Draw) -> Draw:
    """An array of one dimension, some of whose items are null; psycopg writes it."""
    return lambda draw: [None if draw.random() < 0.2 else item(draw) for _ in range(draw.randint(0, 4))]


def one_of(*values: Any, other: Draw | None = None) -> Draw:
    return lambda draw: other(draw) if other and draw.random() < 0.6 else draw.choice(values)


def whole(bits: int) -> Draw:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    return one_of(low, high, 0, -1, other=lambda draw: draw.randint(low, high))


def decimal(digits: int, scale: int) -> Draw:
    most = 10**digits - 1

    def made(number: int) -> str:
        shown = str(abs(number)).rjust(scale + 1, "0")
        return ("-" if number < 0 else "") + (f"{shown[:-scale]}.{shown[-scale:]}" if scale else shown)

    return one_of(made(most), made(-most), made(1), "0", other=lambda draw: made(draw.randint(-most, most)))


def double(draw: random.Random) -> str:
    return repr(draw.choice((draw.gauss(0, 1e6), draw.gauss(0, 1) * 10.0 ** draw.randint(-300, 300))))


def moment(draw: random.Random) -> str:
    return str(datetime(1, 1, 2) + timedelta(microseconds=draw.randrange(315_000_000_000_000_000)))


def document(draw: random.Random) -> str:
    value = {text(draw): one_of(1, 1.5, None, True, text(draw), [1, {"a": text(draw)}])(draw) for _ in range(3)}
    return json.dumps(value, ensure_ascii=draw.random() < 0.5, indent=draw.choice((None, 2)))


def bits(length: int) -> Draw:
    return lambda draw: (
        draw.choice(("0", "1")) * length if draw.random() < 0.3 else "".join(draw.choices("01", k=length))
    )


def uuid(draw: random.Random) -> str:
    return f"{draw.getrandbits(128):032x}"


def interval(draw: random.Random) -> str:
    parts = (draw.randint(-500, 500), draw.randint(-500, 500), draw.randint(-(10**13), 10**13))
    return "{} months {} days {} microseconds".format(*parts)


TIMESTAMPS = one_of("0001-01-01", "9999-12-31 23:59:59.999999", "1969-12-31 23:59:59.999999", other=moment)
FLOATS = ("NaN", "Infinity", "-Infinity", "-0", "0")
# Types whose arrays, and which bits, TOAST may leave out without a trace: only with REPLICA IDENTITY FULL
WHOLE_ROWS_ONLY = {"bit(11)", "uuid[]", "boolean[]", "double precision[]", "date[]", "timestamptz[]"}
KINDS: dict[str, Draw] = {
    "smallint": whole(16),
    "integer": whole(32),
    "bigint": whole(64),
    "oid": one_of(0, 4294967295),
    "numeric(12,4)": decimal(12, 4),
    "numeric(76,38)": decimal(76, 38),
    "numeric": one_of("NaN", "Infinity", "-Infinity", "1.10", "1e-30", "1e40", other=decimal(90, 45)),
    "real": one_of(*FLOATS, "3.4028235e+38", "1e-45", other=lambda draw: repr(draw.gauss(0, 1e3))),
    "double precision": one_of(*FLOATS, "1.7976931348623157e+308", "5e-324", other=double),
    "boolean": one_of("true", "false"),
    "text": one_of("", " ", other=text),
    "varchar(30)": lambda draw: text(draw)[:30],
    "char(5)": lambda draw: text(draw)[:5],
    "name": lambda draw: text(draw)[:10],
    "json": document,
    "jsonb": document,
    "uuid": uuid,
    "bytea": one_of("\\x", "\\x00", other=lambda draw: "\\x" + draw.randbytes(draw.randint(1, 40)).hex()),
    "date": one_of("0001-01-01", "9999-12-31", "1970-01-01", other=lambda draw: moment(draw)[:10]),
    "time": one_of("00:00:00", "24:00:00", "23:59:59.999999", "12:34:56.7"),
    "timestamp": TIMESTAMPS,
    "timestamptz": TIMESTAMPS,
    "interval": one_of("0", "-1 day 01:00:00", "1 year 2 months -3 days 04:05:06.789", other=interval),
    "bit(1)": bits(1),
    "bit(11)": bits(11),
    "inet": one_of("10.1.2.3", "10.1.2.3/8", "::1", "2001:db8::/32"),
    "cidr": one_of("10.0.0.0/8", "2001:db8::/32"),
    "macaddr": one_of("08:00:2b:01:02:03"),
    "int4range": one_of("[1,5)", "empty", "(,3)", "[,]"),
    "tsvector": one_of("'a':1 'b':2A", "'it''s'"),
    "xml": one_of("<a>&amp;é</a>", "<b/>"),
    "integer[]": array(whole(32)),
    "bigint[]": array(whole(64)),
    "text[]": array(text),
    "uuid[]": array(uuid),
    "boolean[]": array(one_of(True, False)),
    "double precision[]": array(lambda draw: draw.gauss(0, 1)),
    "date[]": array(one_of("2024-02-29", "0001-01-01")),
    "timestamptz[]": array(one_of("2024-02-29 12:00:00.000001+00")),
}
AS_TEXT: dict[str, Draw] = {
    "date": one_of("0044-03-15 BC", "infinity", "-infinity", "2024-02-29", "5874897-12-31"),
    "timestamp": one_of("0044-03-15 12:00:00 BC", "infinity", "-infinity", "294246-12-31 23:59:59.999999"),
    "timestamptz": one_of("0044-03-15 12:00:00+00 BC", "infinity", "-infinity", "294276-12-31 23:59:59.999999+00"),
}


ADDED = (  # columns that come in the middle, with what older rows read
    ("integer", "7", lambda draw: str(draw.randint(-9, 9))),
    ("text NOT NULL", "'né'", text),
    ("numeric(8,2)", "1.5", lambda draw: f"{draw.randint(-99999, 99999) / 100}"),
    ("timestamptz", "'2020-02-29 23:59:59.000001+00'", lambda draw: "1999-12-31 23:59:59.5+02"),
    ("text[]", "'{a,NULL,\"b,c\"}'", array(text)),
    ("bytea", r"'\x00ff'", lambda draw: r"\xdead"),
)


@dataclass
class Table:
    """A table of the workload: `key` draws a key, `columns` are the others with their type and what draws a value."""

    name: str
    key: dict[str, tuple[str, Draw]]
    columns: dict[str, tuple[str, Draw]]
    nulls: float = 0.15

    def create(self) -> str:
        columns = [f"{name} {declared} NOT NULL" for name, (declared, _) in self.key.items()]
        columns[1:1] = [f"{name} {declared}" for name, (declared, _) in self.columns.items()]  # among those of the key
        return f"CREATE TABLE {self.name} ({', '.join(columns)}, PRIMARY KEY ({', '.join(reversed(self.key))}))"

    def values(self, draw: random.Random, names: list[str]) -> list[Any]:
        known = self.key | self.columns
        return [
            None if name in self.columns and known[name][0].find("NOT NULL") < 0 and draw.random() < self.nulls
            else known[name][1](draw)
            for name in names
        ]  # fmt: skip

    def place(self, name: str) -> str:
        """Return the placeholder of a value: text, which PostgreSQL itself reads as the type."""
        declared = (self.key | self.columns)[name][0].removesuffix(" NOT NULL")
        return f"%s::{declared}"


@dataclass
class Workload:
    """Tables in a schema of their own, and `run`, which changes them by so many operations of two writers."""

    url: str
    schema: str
    seed: int
    full: bool = True  # whether the tables have REPLICA IDENTITY FULL
    tables: list[Table] = field(default_factory=list)
    refused: int = 0
    added: int = 0

    def __post_init__(self) -> None:
        kinds = {name: kind for name, kind in KINDS.items() if self.full or name not in WHOLE_ROWS_ONLY}
        everything = {f"c{place}": kind for place, kind in enumerate(kinds.items())}
        everything |= {f"t{place}": kind for place, kind in enumerate(AS_TEXT.items())}
        everything |= {"mood": (f"{self.schema}.mood", one_of("glad", "s'ad", "ü")),
                       "positive": (f"{self.schema}.positive", one_of("1", "2147483647"))}  # fmt: skip
        small = one_of(*range(KEYS))
        limits = one_of(-(1 << 63), (1 << 63) - 1, other=small)
        self.tables = [
            Table(f"{self.schema}.everything", {"id": ("bigint", limits)}, everything),
            Table(f"{self.schema}.pairs", {"code": ("text", one_of(*PIECES)), "number": ("integer", one_of(1, 2))},
                  {"amount": ("numeric(10,2)", decimal(10, 2)), "note": ("text", text)}),
            Table(f"{self.schema}.nightly", {"id": ("uuid", one_of(*(f"{n:032x}" for n in range(KEYS))))},
                  {"loaded": ("timestamptz", TIMESTAMPS), "value": ("double precision", double)}),
            Table(f"{self.schema}.notes", {"id": ("integer", small)},
                  {"title": ("text", text), "body": ("text", large), "tags": ("jsonb", large_document),
                   "n": ("int", small)}),
        ]  # fmt: skip

    @property
    def names(self) -> list[str]:
        return [table.name for table in self.tables]

    @property
    def as_text(self) -> list[str]:
        """The columns with values that no type of ClickHouse has."""
        return [f"{self.schema}.everything.t{place}" for place in range(len(AS_TEXT))]

    def create(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE")
            connection.execute(f"CREATE SCHEMA {self.schema}")
            connection.execute(f"CREATE TYPE {self.schema}.mood AS ENUM ('glad', 's''ad', 'ü')")
            connection.execute(f"CREATE DOMAIN {self.schema}.positive AS integer CHECK (VALUE > 0)")
            for table in self.tables:
                connection.execute(table.create())
                if self.full:
                    connection.execute(f"ALTER TABLE {table.name} REPLICA IDENTITY FULL")

    def run(self, operations: int) -> None:
        """Return when each writer has done its share; raises what a writer raised."""
        shares = [_Writer(self, number, operations // WRITERS) for number in range(WRITERS)]
        threads = [threading.Thread(target=writer.run) for writer in shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed := [writer.error for writer in shares if writer.error]:
            raise failed[0]


class _Writer:
    def __init__(self, load: Workload, number: int, operations: int) -> None:
        self.load, self.left = load, operations
        self.draw = random.Random(f"{load.seed}/{number}")
        self.error: Exception | None = None
        self.alter_at = [0, *(operations * share // 4 for share in ((1, 2, 3) if number == 0 else ()))]

    def run(self) -> None:
        try:
            with psycopg.connect(self.load.url, autocommit=True) as self.connection:
                self.connection.execute("SET deadlock_timeout = '20ms'")
                while self.left > 0:
                    if self.left < self.alter_at[-1]:
                        self.alter_at.pop()
                        self._add_column()
                    self._transaction()
        except Exception as error:  # noqa: BLE001 - told by `run`
            self.error = error

    def _transaction(self) -> None:
        try:
            with self.connection.transaction(force_rollback=self.draw.random() < 0.08):
                for _ in range(self.draw.choice((1, 1, 1, 2, 3, 6))):
                    self._step()
        except psycopg.errors.Error as error:
            if not isinstance(error, psycopg.errors.UniqueViolation | psycopg.errors.DeadlockDetected):
                raise
            self.load.refused += 1

    def _step(self) -> None:
        if self.draw.random() < 0.05:
            with self.connection.transaction(force_rollback=self.draw.random() < 0.5):  # a savepoint
                self._operation()
        else:
            self._operation()

    def _operation(self) -> None:
        self.left -= 1
        table = self.draw.choices(self.load.tables, (6, 3, 1, 3))[0]
        steps = (self._insert, self._update, self._delete, self._move, self._reinsert, self._twice, self._rows,
                 self._copy, self._reload, self._truncate)  # fmt: skip
        self.draw.choices(steps, (30, 35, 10, 6, 5, 5, 3, 2, 0.5, 0.5))[0](table)

    def _execute(self, statement: str, values: list[Any] | None = None) -> None:
        self.connection.execute(statement, values)

    def _key(self, table: Table) -> tuple[str, list[Any]]:
        names = list(table.key)
        return " AND ".join(f"{name} = {table.place(name)}" for name in names), table.values(self.draw, names)

    def _insert(self, table: Table) -> None:
        names = [*table.key, *(name for name in table.columns if self.draw.random() < 0.9 or _must(table, name))]
        self._rows_of(table, names, 1)

    def _rows(self, table: Table) -> None:
        self._rows_of(table, [*table.key, *table.columns], self.draw.randint(2, 12))

    def _rows_of(self, table: Table, names: list[str], count: int) -> None:
        places = ", ".join(map(table.place, names))
        kept = "DO NOTHING"
        if count == 1 and self.draw.random() < 0.5:
            kept = f"({', '.join(table.key)}) DO UPDATE SET " + ", ".join(f"{n} = excluded.{n}" for n in names)
        rows = [value for _ in range(count) for value in table.values(self.draw, names)]
        values = ", ".join([f"({places})"] * count)
        self._execute(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {values} ON CONFLICT {kept}", rows)

    def _update(self, table: Table, where: tuple[str, list[Any]] | None = None) -> None:
        found, key = where or self._key(table)
        small = [name for name in table.columns if name not in ("body", "tags") or self.draw.random() < 0.1]
        names = self.draw.sample(small, self.draw.randint(1, min(3, len(small))))
        sets = ", ".join(f"{name} = {table.place(name)}" for name in names)
        self._execute(f"UPDATE {table.name} SET {sets} WHERE {found}", [*table.values(self.draw, names), *key])

    def _delete(self, table: Table, where: tuple[str, list[Any]] | None = None) -> None:
        found, key = where or self._key(table)
        self._execute(f"DELETE FROM {table.name} WHERE {found}", key)

    def _move(self, table: Table) -> None:
        """Change keys, sometimes onto one that was just deleted, sometimes forth and back."""
        (found, old), (_, new) = self._key(table), self._key(table)
        if self.draw.random() < 0.6:
            self._delete(table, (found, new))
        sets = ", ".join(f"{name} = {table.place(name)}" for name in table.key)
        with self.connection.transaction():
            self._execute(f"UPDATE {table.name} SET {sets} WHERE {found}", [*new, *old])
            if self.draw.random() < 0.3:
                self._execute(f"UPDATE {table.name} SET {sets} WHERE {found}", [*old, *new])

    def _reinsert(self, table: Table) -> None:
        found, key = self._key(table)
        names = [*table.key, *table.columns]
        with self.connection.transaction():
            self._delete(table, (found, key))
            values = [*key, *table.values(self.draw, names[len(key) :])]
            places = ", ".join(map(table.place, names))
            self._execute(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({places})", values)

    def _twice(self, table: Table) -> None:
        where = self._key(table)
        with self.connection.transaction():
            self._update(table, where)
            self._update(table, where)

    def _copy(self, table: Table) -> None:
        """Load rows by COPY: all of them have one place in the log of PostgreSQL."""
        keys = {tuple(key): key for key in (table.values(self.draw, list(table.key)) for _ in range(8))}
        found, columns = self._key(table)[0], list(table.columns)
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.executemany(f"DELETE FROM {table.name} WHERE {found}", list(keys.values()))
            with cursor.copy(f"COPY {table.name} ({', '.join([*table.key, *columns])}) FROM STDIN") as copy:
                for key in keys.values():
                    copy.write_row([*key, *table.values(self.draw, columns)])

    def _reload(self, table: Table) -> None:
        """Delete all and load anew, as a nightly refresh does."""
        with self.connection.transaction():
            self._execute(f"CREATE TEMPORARY TABLE kept ON COMMIT DROP AS SELECT * FROM {table.name}")
            self._execute(f"DELETE FROM {table.name}")
            self._execute(f"INSERT INTO {table.name} SELECT * FROM kept")
            self._execute("DROP TABLE kept")
            self._rows(table)

    def _truncate(self, table: Table) -> None:
        chosen = self.draw.sample(self.load.tables, self.draw.choice((1, 1, 2)))
        self._execute(f"TRUNCATE {', '.join(sorted(each.name for each in chosen))}")
        for each in chosen:
            for _ in range(self.draw.randint(0, 3)):
                self._rows(each)

    def _add_column(self) -> None:
        declared, default, value = ADDED[(self.load.seed + self.load.added) % len(ADDED)]
        table, name = self.draw.choice(self.load.tables[:2]), f"added{self.load.added}"
        self._execute(f"ALTER TABLE {table.name} ADD COLUMN {name} {declared} DEFAULT {default}")
        self.load.added += 1
        table.columns = {**table.columns, name: (declared, value)}


def _must(table: Table, name: str) -> bool:
    return "NOT NULL" in table.columns[name][0]
