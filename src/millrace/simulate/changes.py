"""People who change two small tables of PostgreSQL: inserts, updates, deletes, changed keys, transactions over both."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg

from millrace.errors import ConfigError, Unavailable

ROWS = 40  # of each table, about which the numbers of inserts and deletes are even
WORDS = ("ash", "birch", "cedar", "dogwood", "elm", "fir", "ginkgo", "hazel", "ivy", "juniper", "katsura", "larch")
MAKE = """
CREATE TABLE IF NOT EXISTS public.demo_table1 (id integer PRIMARY KEY, name text);
CREATE TABLE IF NOT EXISTS public.demo_table2 (id integer PRIMARY KEY, value text);
"""
TABLES = {"demo_table1": "name", "demo_table2": "value"}

Statement = tuple[str, tuple[object, ...]]


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
        """Yield transactions for ever: most of one statement, each eighth of some over both tables."""
        while True:
            tables = list(TABLES) * 2 if self._random.random() < 1 / 8 else [self._random.choice(list(TABLES))]
            yield [self._statement(table) for table in tables]

    def _statement(self, table: str) -> Statement:
        keys, column = self._keys[table], TABLES[table]
        full = len(keys) / (2 * ROWS)
        kind = self._random.random()
        if not keys or kind > 0.5 + full / 2:
            keys.append(self._new())
            return f"INSERT INTO public.{table} (id, {column}) VALUES (%s, %s)", (keys[-1], self._text())
        place = self._random.randrange(len(keys))
        if kind < full / 2:
            return f"DELETE FROM public.{table} WHERE id = %s", (keys.pop(place),)
        if kind < full / 2 + 0.1:
            before, keys[place] = keys[place], self._new()
            return f"UPDATE public.{table} SET id = %s WHERE id = %s", (keys[place], before)
        return f"UPDATE public.{table} SET {column} = %s WHERE id = %s", (self._text(), keys[place])

    def _new(self) -> int:
        self._next += 1
        return self._next

    def _text(self) -> str | None:
        words = self._random.sample(WORDS, self._random.randint(1, 3))
        return None if self._random.random() < 0.05 else " ".join(words)


def change(
    conninfo: str,
    *,
    rate: float = 20.0,
    seed: int = 1,
    count: int | None = None,
    ready: Callable[[], object] = lambda: None,
) -> int:
    """Change the tables at `conninfo`, about `rate` rows a second, `count` in all (None: for ever); return how many.

    The tables are made where they are not there; `ready` is called once they are. Raises Unavailable where the server
    does not answer, ConfigError where it refuses a statement.
    """
    try:
        with psycopg.connect(conninfo, autocommit=True, connect_timeout=10, application_name="millrace changes") as to:
            to.execute(MAKE)
            ready()
            return _change(to, People(seed, _first(to)), rate, count)
    except psycopg.OperationalError as error:
        raise Unavailable(f"PostgreSQL: {str(error).strip()}") from None
    except psycopg.Error as error:
        raise ConfigError(f"PostgreSQL: {str(error).strip()}") from error


def _change(to: psycopg.Connection, people: People, rate: float, count: int | None) -> int:
    done, began = 0, time.monotonic()
    for statements in people.transactions():
        if count is not None and done >= count:
            break
        with to.transaction():
            for statement, values in statements:
                to.execute(statement.encode(), values)
        done += len(statements)
        time.sleep(max(0.0, began + done / rate - time.monotonic()))
    return done


def _first(to: psycopg.Connection) -> int:
    highest = " UNION ALL ".join(f"SELECT coalesce(max(id), 0) AS id FROM public.{table}" for table in TABLES)
    row = to.execute(f"SELECT max(id) FROM ({highest}) AS both".encode()).fetchone()
    return max(1_000, row[0] if row else 0)
