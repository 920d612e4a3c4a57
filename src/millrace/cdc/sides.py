"""How many rows the copied tables have on each side, exactly where counting them is quick."""

import re
from datetime import UTC, datetime
from typing import NamedTuple

from clickhouse_connect.driver.binding import quote_identifier
from clickhouse_connect.driver.client import Client

from millrace.cdc import lag, postgres
from millrace.cdc.connector import PUBLICATION, SIGNALS
from millrace.cdc.lag import Slot
from millrace.cdc.toast import LACKING
from millrace.config import Settings
from millrace.kafka.places import GENERATION
from millrace.sinks.clickhouse import client

SOON_COUNTED = 64 * 1024**2  # bytes of a table in PostgreSQL, and
FEW = 2_000_000  # rows in ClickHouse, below which rows are counted
COMMENT = re.compile(r"Changes of (.+), newest a key; pg_class.oid \d+")
ONLY_READ = "SET default_transaction_read_only = on; SET statement_timeout = '10s'"
PUBLISHED = """
SELECT p.schemaname || '.' || p.tablename AS name,
  quote_ident(p.schemaname) || '.' || quote_ident(p.tablename) AS quoted,
  coalesce(sum(pg_relation_size(t.relid)) FILTER (WHERE t.isleaf), pg_relation_size(c.oid))::bigint AS bytes,
  greatest(0, coalesce(sum(l.reltuples) FILTER (WHERE t.isleaf), c.reltuples))::bigint AS about
FROM pg_publication_tables p
JOIN pg_namespace n ON n.nspname = p.schemaname JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename
LEFT JOIN LATERAL pg_partition_tree(c.oid) t ON true LEFT JOIN pg_class l ON l.oid = t.relid
WHERE p.pubname = %s AND p.schemaname || '.' || p.tablename <> %s GROUP BY 1, 2, c.oid, c.reltuples ORDER BY 1
"""
STORAGE = (
    f"SELECT name, comment, ifNull(total_rows, 0), replaceRegexpOne(name, '__cdc$', '{LACKING}') IN"
    " (SELECT name FROM system.tables WHERE database = currentDatabase())"
    " FROM system.tables WHERE database = currentDatabase() AND endsWith(name, '__cdc')"
)


class Count(NamedTuple):
    """A number of rows, `exact` or as the server estimates it."""

    rows: int
    exact: bool = True

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.rows:,}" if self.exact else f"about {self.rows:,}"


class Source(NamedTuple):
    """What PostgreSQL has: rows by table, None where they may not be read, and the slot."""

    rows: dict[str, Count]
    slot: Slot | None


class Target(NamedTuple):
    """What ClickHouse has of a table: its rows, and when the newest change of one was made at the source.

    `lacking` are rows with large values that no change carried, where rows are counted.
    """

    rows: Count
    changed_at: datetime | None
    lacking: int = 0


def source(settings: Settings) -> Source:
    """Count the tables of the publication; raises Unavailable, and ConfigError where none may be read."""
    with postgres.connection(postgres.source(settings)) as session:
        session.execute(ONLY_READ)
        found = {}
        for row in session.execute(PUBLISHED.encode(), [PUBLICATION, SIGNALS]).fetchall():
            exact = row["bytes"] <= SOON_COUNTED
            counted = (
                session.execute(f"SELECT count(*) AS n FROM {row['quoted']}".encode()).fetchone() if exact else None
            )
            found[row["name"]] = Count(counted["n"] if counted else row["about"], exact)
        return Source(found, lag.slot(session))


def target(settings: Settings) -> dict[str, Target]:
    """Count the tables that were copied, by their names at the source; an embedded server that has none is not started.

    Raises Unavailable and ConfigError.
    """
    url = settings.store_url("clickhouse")
    if client.is_embedded(url) and not client.folder(url).exists():
        return {}
    with client.errors(url, "rows"):
        server = client.connect(url)
        found = {}
        for name, comment, total, large in server.query(STORAGE).result_rows:
            if known := COMMENT.fullmatch(comment):
                found[known[1]] = _counted(server, name, total, large=bool(large))
    return found


def generation(settings: Settings) -> int:
    """Return the newest generation that ClickHouse has rows of, 0 where it has none; raises Unavailable."""
    url = settings.clickhouse
    if client.is_embedded(url) and not client.folder(url).exists():
        return 0
    with client.errors(url, "generations"):
        server = client.connect(url)
        tables = [name for name, comment, *_ in server.query(STORAGE).result_rows if COMMENT.fullmatch(comment)]
        asked = [f"SELECT max(_version) FROM {quote_identifier(name)}" for name in tables]
        return max((server.query(each).result_rows[0][0] >> GENERATION for each in asked), default=0)


def _counted(server: Client, storage: str, total: int, *, large: bool) -> Target:
    exact, name = total <= FEW, storage.removesuffix("__cdc")
    rows = f"(SELECT count() FROM {quote_identifier(name)})" if exact else str(total)
    lacking = f"(SELECT count() FROM {quote_identifier(name + LACKING)})" if exact and large else "0"
    newest = f"SELECT {rows}, max(_changed_at), count(), {lacking} FROM {quote_identifier(storage)}"
    [(count, moment, any_row, lacks)] = server.query(newest).result_rows
    return Target(Count(count, exact), moment.replace(tzinfo=UTC) if any_row else None, lacks)
