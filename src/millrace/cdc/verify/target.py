"""Rows of ClickHouse as the view shows them: sums of their hashes, their hashes, the columns' texts, and versions."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from clickhouse_connect.driver.binding import format_str
from clickhouse_connect.driver.client import Client

from millrace.cdc import storage
from millrace.cdc.replica import Replica
from millrace.cdc.verify.rows import Hashed, Key, Sums, Texts, by_key, key_of
from millrace.errors import ConfigError
from millrace.sinks.clickhouse import client

SETTINGS = {  # a column may be called as a text is; keys are in the statement
    "prefer_column_name_to_alias": 1,
    "max_query_size": 1 << 30,
    "max_ast_elements": 1 << 30,
    "max_expanded_ast_elements": 1 << 30,
}
NUMBER = "reinterpretAsInt64(reverse(substring(MD5({}), 1, 8)))"
Version = tuple[int, int]  # of a key's newest change, 0 for none; and the place below which none counts


@dataclass(frozen=True)
class Target:
    """The ClickHouse at `url`."""

    url: str

    def check(self, replica: Replica) -> None:
        """Raise ConfigError unless there is storage of `replica` that has all its columns."""
        with self._asked(replica) as server:
            found = storage.look(server, replica)
        if found is None:
            raise ConfigError(f"{replica.source.full_name} is not in ClickHouse yet: `millrace run cdc` copies it")
        known = {each.number for each in found.columns}
        if new := [field.column.name for field in replica.fields if field.column.number not in known]:
            raise ConfigError(
                f"{replica.source.full_name} has columns that ClickHouse lacks yet: {', '.join(new)}; the job adds them"
                " with the next change"
            )
        storage.mends(replica, found)

    def sums(self, replica: Replica, mask: int) -> Sums:
        """Return count and sum of the rows' hashes by bucket; sums begin anew at 2 to the 63."""
        with self._asked(replica) as server:
            hashed = _hashed(replica, _told(replica, replica.view))
            rows = _query(server, f"SELECT bitAnd(place, {mask}), count(), sum(hash) FROM ({hashed}) GROUP BY 1")
        return {bucket: (count, total) for bucket, count, total in rows}

    def rows(self, replica: Replica, mask: int, buckets: Iterable[int]) -> Iterator[Hashed]:
        """Yield the rows of some buckets, in the order of their places."""
        chosen = ", ".join(map(str, buckets))
        statement = (
            f"SELECT place, key, hash FROM ({_hashed(replica, _told(replica, replica.view))})"
            f" WHERE bitAnd(place, {mask}) IN ({chosen}) ORDER BY place"
        )
        with self._asked(replica) as server, server.query_row_block_stream(statement, settings=SETTINGS) as blocks:
            for block in blocks:
                for place, key, hash in block:
                    yield place, tuple(key), hash

    def look(self, replica: Replica, keys: Sequence[Key]) -> dict[Key, list[int]]:
        """Return the hashes of those rows that are there."""
        told = f"SELECT * FROM ({_told(replica, replica.view)}) WHERE {_among(replica, keys)}"
        with self._asked(replica) as server:
            return by_key((tuple(key), hash) for _, key, hash in _query(server, _hashed(replica, told)))

    def texts(self, replica: Replica, keys: Sequence[Key]) -> dict[Key, Texts]:
        """Return the texts of those rows that are there."""
        names = ", ".join(f"t{place}" for place in range(len(replica.fields)))
        with self._asked(replica) as server:
            told = f"SELECT {names} FROM ({_told(replica, replica.view)}) WHERE {_among(replica, keys)}"
            return {key_of(replica, row): row for row in map(tuple, _query(server, told))}

    def versions(self, replica: Replica, keys: Sequence[Key]) -> dict[Key, Version]:
        """Return the newest version of each key, whether its row is there or gone."""
        names = f"[{', '.join(_keys(replica))}]"
        with self._asked(replica) as server:
            told = _told(replica, replica.storage, "_version")
            rows = _query(
                server, f"SELECT {names}, max(_version) FROM ({told}) WHERE {_among(replica, keys)} GROUP BY 1"
            )
            ((floor,),) = _query(server, f"SELECT {replica.floor}")
        found = {tuple(key): version for key, version in rows}
        return {key: (found.get(key, 0), floor) for key in keys}

    @contextmanager
    def _asked(self, replica: Replica) -> Iterator[Client]:
        with client.errors(self.url, f"verify: {replica.target}"):
            yield client.connect(self.url)


def _query(server: Client, statement: str) -> Sequence[Sequence[Any]]:
    return server.query(statement, settings=SETTINGS).result_rows


def _told(replica: Replica, relation: str, *more: str) -> str:
    """Return rows whose columns t0, t1, ... are the canonical texts, null for null."""
    texts = [f"{field.told} AS t{place}" for place, field in enumerate(replica.fields)]
    return f"SELECT {', '.join([*texts, *more])} FROM {relation}"


def _keys(replica: Replica) -> list[str]:
    return [f"t{place}" for place, field in enumerate(replica.fields) if field.key]


def _among(replica: Replica, keys: Sequence[Key]) -> str:
    chosen = ", ".join(f"({', '.join(format_str(text or '') for text in key)})" for key in keys)
    return f"({', '.join(_keys(replica))}) IN ({chosen})"


def _hashed(replica: Replica, told: str) -> str:
    """Return rows of `place`, a number by which both sides order and divide keys, `key` and `hash`."""
    every = [f"t{place}" for place in range(len(replica.fields))]
    return (
        f"SELECT {NUMBER.format(_joined(_keys(replica)))} AS place, [{', '.join(_keys(replica))}] AS key,"
        f" {NUMBER.format(_joined(every))} AS hash FROM ({told})"
    )


def _joined(texts: Sequence[str]) -> str:
    """Return one text of many: first their lengths, a mark for null, then all of them."""
    lengths = ", ',', ".join(f"ifNull(toString(lengthUTF8({each})), '-')" for each in texts)
    values = ", ".join(f"ifNull({each}, '')" for each in texts)
    return f"concat({lengths}, ':', {values})"
