"""`millrace cdc register`: the connector as it should be, whatever it was before."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from millrace.cdc import connector, demo, postgres, sides, tables_there
from millrace.cdc.connect import PAUSED, STOPPED, Connect, Status
from millrace.cdc.connector import NAME, PUBLICATION, SIGNALS, SLOT, Keys
from millrace.cdc.postgres import Connection
from millrace.cdc.source import refuse
from millrace.config import Settings
from millrace.errors import ConfigError, Unavailable
from millrace.kafka import browse

READY_WITHIN = 120.0  # seconds until the connector reads; its initial snapshot may take longer
RELEASED_WITHIN = 30.0  # seconds until PostgreSQL notices that the connector has gone
PAUSE = 0.5  # seconds between two looks
STEADY = 4  # looks in a row that find it running: a task that cannot start fails after a moment
OUT_OF_REACH = "no longer available on the server"  # as Debezium says where the slot does not reach back
GONE = (
    f"the replication slot {SLOT} is gone or another one, and changes with it: `millrace cdc register --resnapshot` "
    "reads all rows anew"
)

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """What is to be captured; no `tables`: those of before."""

    tables: Sequence[str] = ()
    keys: Keys = field(default_factory=dict)
    prefix: str | None = None
    avro: bool | None = None


@dataclass(frozen=True)
class Registered:
    """What is captured now.

    `added` are the tables of which there is no snapshot yet, `removed` those that are captured no more. `again` are of
    the added ones those that were captured before: what was deleted of them since is not known.
    """

    tables: list[str]
    topics: list[str]
    generation: int
    status: Status
    added: list[str]
    removed: list[str]
    again: list[str]


def worker(settings: Settings) -> Connect:
    """Return the worker that the settings name; raises ConfigError where they name none."""
    if not settings.connect_url:
        raise ConfigError("MILLRACE_CONNECT_URL is not set: set it, or start Kafka Connect by `millrace up connect`")
    return Connect(settings.connect_url)


def register(settings: Settings, wanted: Wanted, tell: Tell, *, resnapshot: bool = False) -> Registered:
    """Make the connector what is wanted and return once it runs; what is so already stays as it is.

    `resnapshot`: let it begin anew, with all rows and the next generation. Raises ConfigError where tables cannot be
    captured or changes were lost, Unavailable where a server does not answer or the connector fails.
    """
    connect, url = worker(settings), postgres.source(settings)
    found = connect.config(NAME)
    before = connector.tables(found) if found else []
    tables = list(wanted.tables) or before
    if not tables:
        raise ConfigError("nothing is captured yet: say --tables schema.table[,...], or --demo for two small ones")
    prefix = wanted.prefix or (found or {}).get("topic.prefix", connector.PREFIX)
    keys = {**(connector.keys(found) if found else {}), **wanted.keys}
    keys = {table: keys[table] for table in tables if table in keys}
    registry = _registry(settings, found, wanted)
    if found and connector.is_avro(found) != bool(registry) and prefix == found.get("topic.prefix"):
        raise ConfigError(f"--encoding: the topics {prefix}.* hold the other one; --prefix names topics of their own")
    refuse(url, tables, keys, avro=registry is not None)
    with postgres.connection(url) as source:
        returned = [table for table in _prepare(source, tables) if table in before]
        generated = {name: row["generated"] for name, row in tables_there.read(source, tables).items()}

        def settings_of(number: int) -> dict[str, str]:
            return connector.config(
                tables, keys=keys, excluded=generated, prefix=prefix, generation=number, registry=registry
            )

        number = connector.generation(found) if found else _newest(settings, tables, prefix)
        if found is None:
            tell("making the connector")
            connect.create(NAME, settings_of(max(number, 1)))
        offsets, slot = connect.offsets(NAME), _slot(source)
        if found and offsets and not slot and not resnapshot:
            raise ConfigError(GONE)
        anew = resnapshot or (found is None and not (offsets and slot)) or connector.ANEW in (found or {})
        number = 1 + max(number, _newest(settings, tables, prefix), sides.generation(settings)) if anew else number
        config = {**connector.added(found or {}), **settings_of(max(number, 1))}
        if anew:
            _begin_anew(connect, source, config, tell)
        elif config != found:
            connect.put(NAME, config)
        elif returned:
            connect.restart(NAME)  # what it knows of the publication is of before
        status = _wait(connect, source, tell)
    added = [table for table in tables if found and not anew and (table not in before or table in returned)]
    again = [table for table in added if _newest(settings, [table], prefix)]
    topics, removed = (
        [connector.topic(table, prefix) for table in tables],
        [each for each in before if each not in tables],
    )
    return Registered(tables, topics, max(number, 1), status, added, removed, again)


def unregister(settings: Settings, tell: Tell) -> None:
    """Remove connector, offsets, replication slot and publication; the topics stay, and so do the tables.

    Without a running Kafka Connect nothing is removed: its connector would come back, and find its slot gone.
    """
    connect = worker(settings)
    if connect.config(NAME):
        tell("stopping the connector")
        connect.stop(NAME)
        connect.forget_offsets(NAME)
        connect.delete(NAME)
    with postgres.connection(postgres.source(settings)) as source:
        tell("dropping slot and publication")
        drop_slot(source)
        source.execute(sql.SQL("DROP PUBLICATION IF EXISTS {}").format(sql.Identifier(PUBLICATION)))


def _registry(settings: Settings, found: dict[str, str] | None, wanted: Wanted) -> str | None:
    """Return the registry's URL where records are to be Avro, None for JSON; without a word, as before."""
    if not (connector.is_avro(found or {}) if wanted.avro is None else wanted.avro):
        return None
    if not settings.registry_url:
        raise ConfigError("MILLRACE_REGISTRY_URL is not set: set it, or start a registry by `millrace up registry`")
    if not settings.registry_url.endswith(connector.COMPATIBLE):
        raise ConfigError(
            f"--encoding avro: MILLRACE_REGISTRY_URL must be Apicurio's, and end with {connector.COMPATIBLE}: the "
            "converter speaks to no other"
        )
    return settings.registry_url


def drop_slot(source: Connection) -> None:
    """Drop the replication slot, if it is there, once PostgreSQL has noticed that nobody reads it."""
    deadline = time.monotonic() + RELEASED_WITHIN
    while _slot(source):
        try:
            source.execute("SELECT pg_drop_replication_slot(%s)", [SLOT])
        except psycopg.errors.ObjectInUse:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE)


def _prepare(source: Connection, tables: Sequence[str]) -> list[str]:
    """Make the signals' table and the publication where they are not there; return the tables that it lacked."""
    _once(source, "SELECT to_regclass(%s) IS NOT NULL AS there", SIGNALS, demo.SIGNALS)
    publication = sql.SQL("CREATE PUBLICATION {} FOR TABLE {} WITH (publish_via_partition_root = true)").format(
        sql.Identifier(PUBLICATION), sql.SQL(", ").join(map(postgres.name, (*tables, SIGNALS)))
    )
    there = "SELECT EXISTS (SELECT FROM pg_publication WHERE pubname = %s) AS there"
    _once(source, there, PUBLICATION, publication.as_string(source))
    published = "SELECT schemaname || '.' || tablename AS name FROM pg_publication_tables WHERE pubname = %s"
    known = {row["name"] for row in source.execute(published.encode(), [PUBLICATION]).fetchall()}
    missing = [table for table in (*tables, SIGNALS) if table not in known]
    if missing:
        names = sql.SQL(", ").join(map(postgres.name, missing))
        source.execute(sql.SQL("ALTER PUBLICATION {} ADD TABLE {}").format(sql.Identifier(PUBLICATION), names))
    return missing


def _once(source: Connection, question: str, subject: str, statement: str) -> None:
    row = source.execute(question.encode(), [subject]).fetchone()
    if row and row["there"]:
        return
    try:
        source.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigError(
            f"{subject} is not there, and this user may not make it ({str(error).strip()}); its owner runs: {statement}"
        ) from error


def _slot(source: Connection) -> bool:
    return bool(source.execute("SELECT FROM pg_replication_slots WHERE slot_name = %s", [SLOT]).fetchall())


def _newest(settings: Settings, tables: Sequence[str], prefix: str) -> int:
    """Return the newest generation in the topics, for a connector that was removed; 0 where there is none."""
    there = {row["topic"] for row in browse.overview(settings.kafka_bootstrap)}
    topics = {connector.topic(table, prefix) for table in tables} & there
    records = [record for topic in sorted(topics) for record in browse.newest(settings.kafka_bootstrap, topic, 1)]
    return max((int(dict(record.headers).get(connector.HEADER, b"1")) for record in records), default=0)


def _begin_anew(connect: Connect, source: Connection, config: dict[str, str], tell: Tell) -> None:
    """Let the connector read all rows again. Broken off anywhere, the next `register` begins anew, for it is marked."""
    tell("stopping the connector")
    connect.stop(NAME)
    connect.put(NAME, {**config, connector.ANEW: "true"})  # first: rows of one generation are of one snapshot
    if connect.offsets(NAME):
        connect.forget_offsets(NAME)
    drop_slot(source)
    connect.put(NAME, config)


def _wait(connect: Connect, source: Connection, tell: Tell) -> Status:
    """Return once the connector has run for a moment; resume it, and restart what failed, once."""
    begin, steady = time.monotonic(), 0
    restarted, since = 0.0, False  # when, and whether it has been seen without a failure since then
    while True:
        status = connect.status(NAME)
        steady = steady + 1 if status and status.running and _slot(source) else 0
        if status and steady >= STEADY:
            return status
        tell(f"waiting for the connector: {status or 'not there yet'}")
        now = time.monotonic()
        if status and status.failed:
            if OUT_OF_REACH in status.reason:
                raise ConfigError(GONE)
            if since or (restarted and now > restarted + RELEASED_WITHIN):
                raise Unavailable(f"{NAME} failed: {status.reason}")
            if not restarted:
                tell(f"it failed ({status.reason}): starting it again")
                connect.restart_failed(NAME)
                restarted = now
        else:
            since = bool(restarted)
            if status and status.state in (STOPPED, PAUSED):
                connect.resume(NAME)
        if now > begin + READY_WITHIN:
            raise Unavailable(f"{NAME} does not run after {READY_WITHIN:.0f} s: {status or 'not there'}")
        time.sleep(PAUSE)
