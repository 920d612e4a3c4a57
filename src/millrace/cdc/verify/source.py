"""Rows of PostgreSQL as one snapshot has them: sums of their hashes, their hashes, and the texts of their columns."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import ARRAY, Connection, Engine, Text, TextClause, bindparam, text

from millrace.cdc import types
from millrace.cdc.replica import Replica
from millrace.cdc.table import Table
from millrace.cdc.verify.rows import Hashed, Key, Sums, Texts, by_key, key_of
from millrace.sinks.sql import database

SESSION = {  # what texts of values go by, and what may end a transaction that takes long
    **{"timezone": "UTC", "datestyle": "ISO", "extra_float_digits": "3", "bytea_output": "hex", "lc_monetary": "C"},
    **{"statement_timeout": "0", "idle_in_transaction_session_timeout": "0", "row_security": "off"},
}
LSN = text(
    "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END"
    r" - CAST('0/0' AS pg_lsn))\:\:bigint"
)
BLOCKS = text(
    "SELECT greatest(pg_relation_size(CAST(:id AS oid)), (SELECT max(pg_relation_size(relid))"
    " FROM pg_partition_tree(CAST(:id AS oid)::regclass) WHERE isleaf)) / current_setting('block_size')::int"
)
PARTS, LEAST = 100, 1024  # ranges of blocks that a table is read in at most, and blocks of one at least
RANGES_SINCE = (14,)  # before, each range of ctid would read the whole table
CAST = {  # types of keys whose text is also that of a value, so that an index finds it
    *("int2", "int4", "int8", "oid", "text", "varchar", "bpchar", "uuid", "bool"),
    *("date", "timestamp", "timestamptz"),
}
TOLD = "(SELECT {texts} FROM {table} WHERE {where} OFFSET 0) AS told"  # OFFSET: each text is made once
NUMBER = "('x' || substr(md5(convert_to({}, 'UTF8')), 1, 16))::bit(64)::bigint"


@dataclass(frozen=True)
class Snapshot:
    """A transaction that reads; at `lsn` the source had written all that it sees."""

    connection: Connection
    lsn: int

    @property
    def at(self) -> str:
        """Its LSN as PostgreSQL writes it."""
        return f"{self.lsn >> 32:X}/{self.lsn & 0xFFFFFFFF:X}"

    def blocks(self, table: Table) -> int:
        """Return the blocks of a table, of the largest of its partitions."""
        return int(self.connection.execute(BLOCKS, {"id": table.id}).scalar_one())

    def sums(self, replica: Replica, mask: int, blocks: int, advance: Callable[[int], object]) -> Sums:
        """Return count and sum of the rows' hashes by bucket; `advance` is told of the blocks that were read."""
        found: Sums = {}
        statement = "SELECT place & {mask}, count(*), sum(hash) FROM ({hashed}) AS hashed GROUP BY 1"
        for first, last, where in self._ranges(blocks):
            rows = self.connection.execute(_text(statement.format(mask=mask, hashed=_hashed(replica, where))))
            for bucket, count, total in rows:
                before = found.get(bucket, (0, 0))
                found[bucket] = before[0] + count, before[1] + int(total)
            advance(last - first)
        return found

    def rows(self, replica: Replica, mask: int, buckets: Iterable[int]) -> Iterator[Hashed]:
        """Yield the rows of some buckets, in the order of their places."""
        chosen = ", ".join(map(str, buckets))
        statement = f"SELECT place, key, hash FROM ({_hashed(replica)}) AS hashed WHERE place & {mask} IN ({chosen})"
        options = {"stream_results": True, "yield_per": 10_000}
        for place, key, hash in self.connection.execute(_text(f"{statement} ORDER BY 1"), execution_options=options):
            yield place, tuple(key), hash

    def look(self, replica: Replica, keys: Sequence[Key]) -> dict[Key, list[int]]:
        """Return the hashes of those rows that are there."""
        where, given = _among(replica, keys)
        statement = _text(f"SELECT key, hash FROM ({_hashed(replica, where)}) AS hashed", given)
        return by_key((tuple(key), hash) for key, hash in self.connection.execute(statement, given))

    def texts(self, replica: Replica, keys: Sequence[Key]) -> dict[Key, Texts]:
        """Return the texts of those rows that are there."""
        where, given = _among(replica, keys)
        names = ", ".join(f"t{place}" for place in range(len(replica.fields)))
        found = self.connection.execute(_text(f"SELECT {names} FROM {_told(replica, where)}", given), given)
        return {key_of(replica, row): row for row in map(tuple, found)}

    def _ranges(self, blocks: int) -> Iterator[tuple[int, int, str]]:
        """Yield first and last block of each range, and its condition; the last one has no end."""
        version = self.connection.dialect.server_version_info or (0,)
        step = max(LEAST, blocks // PARTS + 1) if version >= RANGES_SINCE else blocks + 1
        for first in range(0, blocks + 1, step):
            last = first + step
            end = f" AND ctid < '({last},0)'::tid" if last <= blocks else ""
            yield first, min(last, blocks), f"ctid >= '({first},0)'::tid{end}"


@contextmanager
def snapshot(engine: Engine, tables: Iterable[Table]) -> Iterator[Snapshot]:
    """Yield a snapshot of `tables`, which nobody empties meanwhile; raises Unavailable and ConfigError."""
    with database.errors(engine.url, "verify: "), engine.connect() as connection:
        connection.execution_options(isolation_level="REPEATABLE READ")
        for name, value in SESSION.items():
            connection.execute(text(f"SET LOCAL {name} = '{value}'"))
        # Before the first SELECT, with which the snapshot begins: one that is older would see an emptied table empty.
        names = ", ".join(_named(table) for table in tables)
        connection.execute(_text(f"LOCK TABLE {names} IN ACCESS SHARE MODE"))
        yield Snapshot(connection, connection.execute(LSN).scalar_one())


def quote(name: str) -> str:
    """Return a name as SQL text takes it; SQLAlchemy's own doubles percent signs, which `text` does, too."""
    return '"{}"'.format(name.replace('"', '""'))


def _named(table: Table) -> str:
    only = "" if table.kind == "p" else "ONLY "
    return f"{only}{quote(table.schema)}.{quote(table.name)}"


def _told(replica: Replica, where: str) -> str:
    """Return rows whose columns t0, t1, ... are the canonical texts, null for null."""
    texts = []
    for place, field in enumerate(replica.fields):
        name = quote(field.column.name)
        texts.append(f"CASE WHEN {name} IS NOT NULL THEN {field.type.postgres(name)} END AS t{place}")
    return TOLD.format(texts=", ".join(texts), table=_named(replica.source), where=where)


def _among(replica: Replica, keys: Sequence[Key]) -> tuple[str, dict[str, list[str | None]]]:
    """Return the condition that a row is one of `keys`, with its parameters."""
    pairs, given = [], {}
    for place, field in enumerate(field for field in replica.fields if field.key):
        name, type = quote(field.column.name), field.column.type
        known = type in CAST and field.type == types.of(field.column)
        theirs = f"CAST(k{place} AS pg_catalog.{quote(type)})" if known else f"k{place}"
        pairs.append(f"{name if known else field.type.postgres(name)} = {theirs}")
        given[f"k{place}"] = [key[place] for key in keys]
    binds = ", ".join(f"<{name}>" for name in given)
    return f"EXISTS (SELECT FROM unnest({binds}) AS _ ({', '.join(given)}) WHERE {' AND '.join(pairs)})", given


def _hashed(replica: Replica, where: str = "true") -> str:
    """Return rows of `place`, a number by which both sides order and divide keys, `key` and `hash`."""
    keys = [f"t{place}" for place, field in enumerate(replica.fields) if field.key]
    every = [f"t{place}" for place in range(len(replica.fields))]
    return (
        f"SELECT {NUMBER.format(_joined(keys))} AS place, ARRAY[{', '.join(keys)}] AS key,"
        f" {NUMBER.format(_joined(every))} AS hash FROM {_told(replica, where)}"
    )


def _joined(texts: Sequence[str]) -> str:
    """Return one text of many: first their lengths, a mark for null, then all of them."""
    lengths = ", ".join(f"length({each})" for each in texts)
    return f"array_to_string(ARRAY[{lengths}], ',', '-') || ':' || array_to_string(ARRAY[{', '.join(texts)}], '')"


def _text(statement: str, given: Iterable[str] = ()) -> TextClause:
    """Return a statement whose colons are colons, and whose <name> are parameters: arrays of text."""
    escaped = statement.replace(":", "\\:")
    for name in given:
        escaped = escaped.replace(f"<{name}>", f":{name}")
    return text(escaped).bindparams(*(bindparam(name, type_=ARRAY(Text)) for name in given))
