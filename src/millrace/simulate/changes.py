"""People who change two small tables of PostgreSQL: inserts, updates, deletes, changed keys, transactions over both."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql

from millrace.errors import ConfigError, Unavailable

ROWS = 40  # of each table, about which the numbers of inserts and deletes are even
WORDS = ("ash", "birch", "cedar", "dogwood", "elm", "fir", "ginkgo", "hazel", "ivy", "juniper", "katsura", "larch")
TABLES = {"demo_table1": "name", "demo_table2": "value"}

Statement = tuple[sql.Composed, tuple[object, ...]]


@dataclass
class People:
    """The transactions of one `seed`, each a list of statements; it knows the keys that there are.

    `first` is above all keys of before: what others wrote is neither changed nor in the way.
    """

    seed: int = 1
    first: int = 1_000

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._next = self.first
        self._keys: dict[str, list[int]] = {table: [] for table in TABLES}

    def transactions(self) -> Iterator[list[Statement]]:
        """Yield transactions for ever: most are of one statement, about one of eight is of some over both tables."""
        while True:
            tables = list(TABLES) * 2 if self._random.random() < 1 / 8 else [self._random.choice(list(TABLES))]
            yield [self._statement(table) for table in tables]

    def _statement(self, table: str) -> Statement:
        keys, column = self._keys[table], TABLES[table]
        full = len(keys) / (2 * ROWS)
        kind = self._random.random()
        if not keys or kind > 0.5 + full / 2:
            keys.append(self._new())
            return _of("INSERT INTO {} (id, {}) VALUES (%s, %s)", table, column), (keys[-1], self._text())
        place = self._random.randrange(len(keys))
        if kind < full / 2:
            return _of("DELETE FROM {} WHERE id = %s", table), (keys.pop(place),)
        if kind < full / 2 + 0.1:
            before, keys[place] = keys[place], self._new()
            return _of("UPDATE {} SET id = %s WHERE id = %s", table), (keys[place], before)
        return _of("UPDATE {} SET {} = %s WHERE id = %s", table, column), (self._text(), keys[place])

    def _new(self) -> int:
        self._next += 1
        return self._next

    def _text(self) -> str | None:
        words = self._random.sample(WORDS, self._random.randint(1, 3))
        return None if self._random.random() < 0.05 else " ".join(words)


def change(
    conninfo: str,
    wait: Callable[[float], bool],
    *,
    rate: float = 20.0,
    seed: int = 1,
    count: int | None = None,
) -> int:
    """Change the tables at `conninfo`, about `rate` rows a second, `count` in all (None: for ever); return how many.

    Between transactions it `wait`s some seconds, until that returns true. Raises Unavailable where the server does not
    answer, ConfigError where it refuses a statement.
    """
    try:
        with psycopg.connect(conninfo, autocommit=True, connect_timeout=10, application_name="millrace changes") as to:
            return _change(to, wait, People(seed, _highest(to)), rate, count)
    except psycopg.OperationalError as error:
        raise Unavailable(f"PostgreSQL: {str(error).strip()}") from None
    except psycopg.Error as error:
        raise ConfigError(f"PostgreSQL: {str(error).strip()}") from error


def _change(
    to: psycopg.Connection, wait: Callable[[float], bool], people: People, rate: float, count: int | None
) -> int:
    done, began = 0, time.monotonic()
    for statements in people.transactions():
        if (count is not None and done >= count) or wait(max(0.0, began + done / rate - time.monotonic())):
            break
        with to.transaction():
            for statement, values in statements:
                to.execute(statement, values)
        done += len(statements)
    return done


def _highest(to: psycopg.Connection) -> int:
    """Return the highest key of both tables, 1000 at least: rows that people type in are below."""
    found = [to.execute(_of("SELECT max(id) FROM {}", table)).fetchone() for table in TABLES]
    return max(1_000, *(row[0] or 0 for row in found if row))


def _of(statement: LiteralString, table: str, *names: str) -> sql.Composed:
    return sql.SQL(statement).format(sql.Identifier("public", table), *map(sql.Identifier, names))
