"""Read what PostgreSQL's catalog says of the captured tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, text

from millrace.cdc.table import Column, Index, Table
from millrace.errors import ConfigError
from millrace.sinks.sql import database

TABLES = text(
    """
    SELECT c.oid::bigint AS id, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
           c.relreplident::text AS identity,
           array(SELECT t.relid::regclass::text FROM pg_catalog.pg_partition_tree(c.oid) t
                 WHERE t.isleaf AND t.relid <> c.oid ORDER BY 1) AS parts
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE (n.nspname || '.' || c.relname) IN :names AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    """
).bindparams(bindparam("names", expanding=True))
COLUMNS = text(
    """
    WITH RECURSIVE base (relation, number, type, modifier) AS (
        SELECT attrelid, attnum, atttypid, atttypmod FROM pg_catalog.pg_attribute
        WHERE attrelid IN :ids AND attnum > 0 AND NOT attisdropped
        UNION ALL
        SELECT b.relation, b.number, t.typbasetype, t.typtypmod
        FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype = 'd'
    )
    SELECT a.attrelid::bigint AS id, a.attnum AS number, a.attname AS name, t.typname AS type, t.typtype::text AS class,
           e.typname AS element, a.attndims AS dimensions, e.typtype::text AS element_class, b.modifier,
           pg_catalog.format_type(a.atttypid, a.atttypmod) AS declared, NOT a.attnotnull AS nullable,
           a.attgenerated::text AS generated, a.attstorage IN ('x', 'e', 'm') AS toastable,
           a.atthasdef OR a.attidentity <> '' AS has_default,
           CASE WHEN a.atthasmissing THEN a.attmissingval::text END AS missing
    FROM pg_catalog.pg_attribute a
    JOIN base b ON b.relation = a.attrelid AND b.number = a.attnum
    JOIN pg_catalog.pg_type t ON t.oid = b.type AND t.typtype <> 'd'
    LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
    ORDER BY 1, 2
    """
).bindparams(bindparam("ids", expanding=True))
INDEXES = text(
    """
    SELECT i.indrelid::bigint AS id, x.relname AS name, i.indisprimary AS is_primary, i.indisreplident AS is_identity,
           i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AS usable,
           i.indimmediate AS immediate,
           array(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (number, place)
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
                 WHERE k.place <= i.indnkeyatts ORDER BY k.place) AS columns
    FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
    WHERE i.indrelid IN :ids AND i.indisunique
    ORDER BY 2
    """
).bindparams(bindparam("ids", expanding=True))


def connect(url: str) -> Engine:
    """Return an engine that reads the catalog at `url`; raises ConfigError if that is no PostgreSQL."""
    engine = database.reader(url)
    if engine.dialect.name != "postgresql":
        raise ConfigError("MILLRACE_CDC_SOURCE_URL is no PostgreSQL: expected postgresql+psycopg://USER:PASSWORD@HOST")
    return engine


def read(engine: Engine, names: Iterable[str]) -> dict[str, Table]:
    """Return those of the tables `names` (schema.table) that are there; raises Unavailable and ConfigError."""
    with database.errors(engine.url, "catalog: "), engine.connect() as connection:
        return _read(connection, sorted(set(names)))


def _read(connection: Connection, names: Sequence[str]) -> dict[str, Table]:
    found = [dict(row) for row in connection.execute(TABLES, {"names": names}).mappings()] if names else []
    if not found:
        return {}
    ids = [table["id"] for table in found]
    columns = _by_table(connection.execute(COLUMNS, {"ids": ids}).mappings())
    indexes = _by_table(connection.execute(INDEXES, {"ids": ids}).mappings())
    tables = []
    for each in found:
        own = tuple(_column(row) for row in columns.get(each["id"], []))
        keys = tuple(Index(**row | {"columns": tuple(row["columns"])}) for row in indexes.get(each["id"], []))
        named = (each["id"], each["schema"], each["name"], each["kind"], each["identity"])
        tables.append(Table(*named, own, keys, frozenset(each["parts"])))
    return {table.full_name: table for table in tables}


def _column(row: Mapping[str, Any]) -> Column:
    """Return a column; an enum is text of its labels, whatever it is called."""
    kinds = {"e": "enum", "c": "composite", "r": "range", "m": "multirange"}
    named = {**row, "type": kinds.get(row["class"], row["type"])}
    if row["element"]:
        named["element"] = kinds.get(row["element_class"], row["element"])
    return Column(**{name: named[name] for name in Column.__dataclass_fields__})


def _by_table(rows: Iterable[Mapping[Any, Any]]) -> dict[int, list[dict[str, Any]]]:
    grouped: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(row["id"], []).append({name: value for name, value in row.items() if name != "id"})
    return grouped
