"""What of a table stands against capturing it: kind, privileges, key, replica identity, columns that are TOASTed."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from millrace.cdc.postgres import Connection, plain, quoted
from millrace.cdc.problem import Problem

# Of a large value that is stored apart (TOAST) and that an UPDATE leaves as it is, arrays of these come with a
# placeholder, as most other types do; all other arrays, and these three types, with NULL.
MARKED = ("integer", "bigint", "text", "character", "character varying", "json", "jsonb", "uuid", "bytea")
SILENT = ("bit", "path", "polygon")
AVRO_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
FEW_BITS = 64  # they are never stored apart: a pointer would be as long
READ = """
SELECT n.nspname || '.' || c.relname AS name, c.relkind AS kind, c.relpersistence AS persistence,
  c.relreplident AS identity, c.reltoastrelid <> 0 OR c.relkind = 'p' AS toasts,
  pg_has_role(c.relowner, 'USAGE') AS owned,
  has_schema_privilege(n.oid, 'USAGE') AS reachable, has_table_privilege(c.oid, 'SELECT') AS readable,
  row_security_active(c.oid) AS filtered,
  array(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attgenerated <> ''
        ORDER BY a.attnum) AS generated,
  array(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.atthasdef
        AND a.attgenerated = '' AND NOT a.attnotnull ORDER BY a.attnum) AS defaults,
  array(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attnotnull
        ORDER BY a.attnum) AS required,
  array(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum) AS columns,
  (SELECT coalesce(jsonb_object_agg(a.attname, format_type(a.atttypid, a.atttypmod)), '{}') FROM pg_attribute a
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attlen = -1 AND a.attstorage <> 'p') AS large,
  (SELECT coalesce(jsonb_agg(jsonb_build_object(
     'name', k.conname, 'primary', i.indisprimary, 'unique', i.indisunique AND i.indpred IS NULL
       AND i.indexprs IS NULL AND i.indisvalid, 'immediate', i.indimmediate, 'identity', i.indisreplident,
     'columns', array(SELECT a.attname FROM unnest(i.indkey) WITH ORDINALITY AS u(number, place)
       JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.number WHERE place <= i.indnkeyatts ORDER BY place))
     ORDER BY i.indexrelid), '[]')
   FROM pg_index i LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = c.oid
   WHERE i.indrelid = c.oid) AS indexes
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = ANY(%s)
"""


def read(source: Connection, tables: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what the catalog says of those of `tables` that are there, by name."""
    return {row["name"]: row for row in source.execute(READ.encode(), [list(tables)]).fetchall()}


def problems(table: str, row: dict[str, Any] | None, key: Sequence[str] | None, role: str) -> Iterator[Problem]:
    """Yield what stands against capturing `table`, of which the catalog says `row`, None where it is not there."""
    if row is None:
        yield Problem(
            table, "there is no such table", "correct --tables: a name in capitals is written as it is stored"
        )
        return
    if row["kind"] not in "rp":
        yield Problem(table, "it is no table: only tables have changes", "capture the tables that it is made of")
        return
    if row["persistence"] != "p":
        mend = f"ALTER TABLE {quoted(table)} SET LOGGED;"
        yield Problem(table, "changes of an unlogged or temporary table are not in the log", mend)
    yield from _privileges(table, row, plain(role))
    yield from _key(table, row, key)
    yield from _toast(table, row)
    if names := ", ".join(row["generated"]):
        mend = f"ALTER TABLE {quoted(table)} ALTER COLUMN ... DROP EXPRESSION; or compute them where they are read"
        yield Problem(table, f"generated columns ({names}) are left out: changes do not have them", mend, fatal=False)


def defaults(table: str, row: dict[str, Any]) -> Iterator[Problem]:
    """Yield what stands against Avro, whose converter writes a column's default where its value is NULL."""
    if row["defaults"]:
        changes = ", ".join(f"ALTER COLUMN {plain(name)} DROP DEFAULT" for name in row["defaults"])
        what = f"a NULL of {', '.join(row['defaults'])} would be written to Avro as the column's default"
        yield Problem(table, what, f"ALTER TABLE {quoted(table)} {changes}; or capture it as JSON")


def names(table: str, row: dict[str, Any]) -> Iterator[Problem]:
    """Yield what stands against Avro, which has few names: its converter changes others, whose values nobody finds."""
    if odd := [name for name in row["columns"] if not AVRO_NAME.fullmatch(name)]:
        mend = f"ALTER TABLE {quoted(table)} RENAME COLUMN {plain(odd[0])} TO ...; or capture it as JSON"
        yield Problem(table, f"no column of Avro may be called {', '.join(odd)}", mend)


def _privileges(table: str, row: dict[str, Any], role: str) -> Iterator[Problem]:
    schema = plain(table.partition(".")[0])
    if not row["reachable"]:
        yield Problem(table, "its schema may not be used", f"GRANT USAGE ON SCHEMA {schema} TO {role};")
    if not row["readable"]:
        yield Problem(table, "it may not be read", f"GRANT SELECT ON {quoted(table)} TO {role};")
    elif row["filtered"]:
        what = "row security hides rows from the snapshot"
        yield Problem(table, what, f"ALTER ROLE {role} BYPASSRLS;")


def _key(table: str, row: dict[str, Any], key: Sequence[str] | None) -> Iterator[Problem]:
    primary = next((index for index in row["indexes"] if index["primary"]), None)
    identity = row["identity"]
    alter = f"ALTER TABLE {quoted(table)}"
    if key:
        yield from _given(table, row, list(key))
    elif primary is None:
        fails = (
            "" if identity in "fi" else ", and once it is published each UPDATE and DELETE of it fails at the source"
        )
        yield Problem(table, f"it has no primary key{fails}", ways_out(table, row))
        return
    elif not primary["immediate"]:
        columns = ", ".join(map(plain, primary["columns"]))
        name = plain(primary["name"])
        mend = f"{alter} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} PRIMARY KEY ({columns});"
        yield Problem(
            table, "its primary key is deferrable: each UPDATE of it fails at the source, as without one", mend
        )
    elif identity == "n":
        what = "its replica identity is nothing: each UPDATE and DELETE fails at the source"
        yield Problem(table, what, f"{alter} REPLICA IDENTITY DEFAULT;")
    elif identity == "i" and not _carries(row, primary["columns"]):
        what = "its replica identity is an index without the primary key: a DELETE does not tell which row"
        yield Problem(table, what, f"{alter} REPLICA IDENTITY DEFAULT;")


def _given(table: str, row: dict[str, Any], key: list[str]) -> Iterator[Problem]:
    """What stands against `key` of --key, which takes the place of a primary key."""
    if missing := [column for column in key if column not in row["columns"]]:
        yield Problem(table, f"there is no column {', '.join(missing)}", "correct --key")
        return
    names = ", ".join(map(plain, key))
    alter = f"ALTER TABLE {quoted(table)}"
    if empty := [column for column in key if column not in row["required"]]:
        mend = f"{alter} " + ", ".join(f"ALTER COLUMN {plain(column)} SET NOT NULL" for column in empty) + ";"
        yield Problem(table, f"{', '.join(empty)} of --key may be NULL", mend)
    if not any(each["unique"] and each["immediate"] and set(each["columns"]) <= set(key) for each in row["indexes"]):
        mend = f"CREATE UNIQUE INDEX ON {quoted(table)} ({names});"
        yield Problem(table, f"nothing keeps {names} of --key unique", mend)
    if not _carries(row, key):
        what = f"its replica identity does not carry {names}: a DELETE does not tell which row, if it does not fail"
        yield Problem(table, what, f"{alter} REPLICA IDENTITY FULL;")


def _carries(row: dict[str, Any], key: Sequence[str]) -> bool:
    """Return whether what the log tells of an old row holds the columns of `key`."""
    if row["identity"] == "f":
        return True
    wanted = {"i": "identity", "d": "primary"}.get(row["identity"])
    return any(wanted and index[wanted] and set(key) <= set(index["columns"]) for index in row["indexes"])


def ways_out(table: str, row: dict[str, Any]) -> str:
    fit = [
        index["columns"]
        for index in row["indexes"]
        if index["unique"] and index["immediate"] and set(index["columns"]) <= set(row["required"])
    ]
    if not fit:
        return f"ALTER TABLE {quoted(table)} ADD COLUMN row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;"
    names = ", ".join(map(plain, fit[0]))
    return (
        f"ALTER TABLE {quoted(table)} ADD PRIMARY KEY ({names}); or ALTER TABLE {quoted(table)} REPLICA IDENTITY FULL;"
        f" and --key {table}={','.join(fit[0])}"
    )


def _toast(table: str, row: dict[str, Any]) -> Iterator[Problem]:
    """What is stored apart when it is large comes with no change of the rest of its row, but for a full identity."""
    if row["identity"] == "f" or not row["toasts"] or not row["large"]:
        return
    full = f"ALTER TABLE {quoted(table)} REPLICA IDENTITY FULL;"
    silent = sorted(name for name, kind in row["large"].items() if _silent(kind))
    if silent:
        what = f"large values of {', '.join(silent)} would arrive as NULL when an UPDATE leaves them as they are"
        yield Problem(table, what, full)
    else:
        what = f"an UPDATE that leaves large values ({', '.join(sorted(row['large']))}) as they are comes without them"
        yield Problem(table, what, full, fatal=False)


def _silent(kind: str) -> bool:
    bits = re.fullmatch(r"bit(?: varying)?\((\d+)\)", kind)
    if bits and int(bits[1]) <= FEW_BITS:
        return False
    element = kind.removesuffix("[]").partition("(")[0]
    return element not in MARKED if kind.endswith("[]") else element.startswith(SILENT)
