"""What of the PostgreSQL that is captured stands against it: settings, the role, the slot, the publication."""

from collections.abc import Iterator, Sequence
from typing import Any

from millrace.cdc import postgres, tables_there
from millrace.cdc.connector import PUBLICATION, SIGNALS, SLOT, Keys
from millrace.cdc.postgres import Connection, plain, quoted
from millrace.cdc.problem import Problem
from millrace.errors import ConfigError

BEHIND = 1024**3  # bytes of log that a slot keeps, from which it is told
REGISTER = "millrace cdc register"  # with which each mend begins that it does itself

SERVER = """
SELECT current_user AS role, current_database() AS database,
  current_setting('wal_level') AS wal_level,
  current_setting('max_replication_slots')::int AS slots,
  (SELECT count(*) FROM pg_replication_slots) AS taken,
  current_setting('max_slot_wal_keep_size') AS keep,
  current_setting('idle_replication_slot_timeout', true) AS idle,
  (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user) AS replication,
  has_database_privilege(current_database(), 'CREATE') AS may_create
"""
SLOTS = """
SELECT slot_name, active, wal_status, plugin, database = current_database() AS here,
  pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint AS behind, safe_wal_size
FROM pg_replication_slots WHERE slot_type = 'logical'
"""
PUBLISHED = """
SELECT to_jsonb(p) AS row, pg_has_role(pubowner, 'USAGE') AS ours,
  array(SELECT schemaname || '.' || tablename FROM pg_publication_tables WHERE pubname = p.pubname) AS tables,
  array(SELECT n.nspname || '.' || c.relname FROM pg_publication_rel r JOIN pg_class c ON c.oid = r.prrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE r.prpubid = p.oid AND (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL)) AS partial
FROM pg_publication p WHERE pubname = %s
"""


KEYLESS = """
SELECT n.nspname || '.' || c.relname AS name
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p'
  AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
  AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate)
ORDER BY 1 LIMIT 20
"""


def problems(url: str, tables: Sequence[str], keys: Keys | None = None, *, avro: bool = False) -> list[Problem]:
    """Return what stands against capturing `tables` (`schema.table`) of the PostgreSQL at `url`, fatal ones first.

    `keys`: by table, the columns that are its key where it has no primary key; `avro`: records are to be Avro. Without
    `tables`, those of all that have no key are told beforehand. Raises Unavailable.
    """
    with postgres.connection(url) as source:
        published = source.execute(PUBLISHED.encode(), [PUBLICATION]).fetchone()
        found = [*_server(source, published), *_slots(source)]
        there = tables_there.read(source, tables)
        found += _keyless(source) if not tables else []
        for table in tables:
            found += tables_there.problems(table, there.get(table), (keys or {}).get(table), source.info.user)
            if table in there:
                if avro:
                    found += [*tables_there.defaults(table, there[table]), *tables_there.names(table, there[table])]
                found += _published(table, there[table], published)
    return sorted(found, key=lambda problem: not problem.fatal)


def refuse(url: str, tables: Sequence[str], keys: Keys, *, avro: bool = False) -> None:
    """Raise ConfigError with all that stands against capturing the tables and that `cdc register` does not mend."""
    found = [
        each for each in problems(url, tables, keys, avro=avro) if each.fatal and not each.mend.startswith(REGISTER)
    ]
    if found:
        raise ConfigError("nothing was changed, for\n" + "\n".join(f"  {each}" for each in found))


def _keyless(source: Connection) -> list[Problem]:
    names = [row["name"] for row in source.execute(KEYLESS.encode()).fetchall()]
    what = "it has no primary key: once it is captured, each UPDATE and DELETE of it fails"
    rows = tables_there.read(source, names)
    return [Problem(name, what, tables_there.ways_out(name, rows[name]), fatal=False) for name in names]


def _server(source: Connection, published: dict[str, Any] | None) -> Iterator[Problem]:
    row = source.execute(SERVER.encode()).fetchone() or {}
    role = plain(row["role"])
    if row["wal_level"] != "logical":
        mend = "ALTER SYSTEM SET wal_level = 'logical'; and restart PostgreSQL"
        yield Problem("server", f"wal_level is {row['wal_level']}: changes are not in its log", mend)
    if not row["replication"]:
        yield Problem("server", f"{row['role']} may not read changes", f"ALTER ROLE {role} REPLICATION;")
    if published is None and not row["may_create"]:
        mend = f"GRANT CREATE ON DATABASE {plain(row['database'])} TO {role};"
        yield Problem("server", f"{row['role']} may not make the publication {PUBLICATION}", mend)
    ours = source.execute("SELECT FROM pg_replication_slots WHERE slot_name = %s", [SLOT]).fetchall()
    if not ours and row["taken"] >= row["slots"]:
        mend = f"ALTER SYSTEM SET max_replication_slots = {row['slots'] + 5}; and restart PostgreSQL"
        yield Problem("server", f"all {row['slots']} replication slots are taken", mend)
    if row["keep"] == "-1":
        what = "it keeps its log without a bound while nobody reads it: a Kafka Connect that is down fills the disk"
        mend = "ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; SELECT pg_reload_conf(); as the disk allows"
        yield Problem("server", what, mend, fatal=False)
    if row["idle"] not in (None, "0"):
        what = f"a slot that nobody reads for {row['idle']} is lost (idle_replication_slot_timeout)"
        mend = "ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf();"
        yield Problem("server", what, mend, fatal=False)


def _slots(source: Connection) -> Iterator[Problem]:
    for row in source.execute(SLOTS.encode()).fetchall():
        subject, ours = f"slot {row['slot_name']}", row["slot_name"] == SLOT
        behind = f"{(row['behind'] or 0) / 1024**2:.0f} MiB of log are kept for it"
        drop = f"SELECT pg_drop_replication_slot('{row['slot_name']}');"
        if row["wal_status"] == "lost":
            yield Problem(
                subject,
                "changes were lost: PostgreSQL kept its log no longer",
                f"{REGISTER} --resnapshot" if ours else drop,
            )
        elif ours and (row["plugin"] != "pgoutput" or not row["here"]):
            yield Problem(subject, "it is of another database or plugin, and in the way", drop)
        elif not row["active"]:
            mend = f"{REGISTER}, which starts the connector" if ours else f"{drop} if nobody needs it"
            yield Problem(subject, f"nobody reads it, and {behind}", mend, fatal=False)
        elif row["behind"] > BEHIND:
            yield Problem(subject, behind, "millrace cdc lag shows who is slow", fatal=False)
        if ours and row["safe_wal_size"] is not None and row["safe_wal_size"] < BEHIND:
            left = f"it is lost after {max(row['safe_wal_size'], 0) / 1024**2:.0f} MiB more of log"
            yield Problem(subject, left, "raise max_slot_wal_keep_size, or start the connector", fatal=False)


def _published(table: str, there: dict[str, Any], published: dict[str, Any] | None) -> Iterator[Problem]:
    """What is wrong with a publication that is there; one that is not comes with `millrace cdc register`."""
    name = plain(PUBLICATION)
    if published is None:
        if not there["owned"]:
            mend = f"as its owner, CREATE PUBLICATION {name} FOR TABLE {quoted(table)}, {quoted(SIGNALS)};"
            yield Problem(table, "only its owner can publish it", mend)
        return
    row = published["row"]
    if table not in published["tables"]:
        if there["owned"] and published["ours"]:
            mend, fatal = f"{REGISTER} --tables {table},...", False
        else:
            mend, fatal = f"as its owner, ALTER PUBLICATION {name} ADD TABLE {quoted(table)};", True
        yield Problem(table, f"the publication {PUBLICATION} lacks it", mend, fatal)
    if table in published["partial"]:
        mend = (
            f"ALTER PUBLICATION {name} DROP TABLE {quoted(table)}; ALTER PUBLICATION {name} ADD TABLE {quoted(table)};"
        )
        yield Problem(table, "the publication has a part of it alone (a filter, or a list of columns)", mend)
    if missing := [kind for kind in ("insert", "update", "delete", "truncate") if not row[f"pub{kind}"]]:
        mend = f"ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate');"
        yield Problem(table, f"the publication leaves out each {' and '.join(missing)}", mend)
