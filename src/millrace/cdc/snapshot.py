"""`millrace cdc snapshot`: all rows of some tables again, while the stream of changes goes on.

Debezium takes the request from its table of signals, and tells in a topic how far it is.
https://debezium.io/documentation/reference/stable/configuration/signalling.html
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kafka.consumer.fetcher import ConsumerRecord
from psycopg import sql

from millrace.cdc import connector, postgres, tail
from millrace.cdc.connect import Connect
from millrace.cdc.connector import NAME, NOTES, SIGNALS
from millrace.cdc.postgres import Connection
from millrace.config import Settings
from millrace.errors import ConfigError, Unavailable
from millrace.kafka import browse
from millrace.kafka.avro import to_json

BEGUN_WITHIN = 120.0  # seconds; what the connector has not read yet comes before the request
DONE = ("SUCCEEDED", "EMPTY")
ENDED = ("COMPLETED", "ABORTED", "STOPPED")

Tell = Callable[[str], None]


def snapshot(settings: Settings, connect: Connect, tables: Sequence[str], tell: Tell) -> int:
    """Let the connector read all rows of `tables` again; return how many it read, once it has.

    Raises ConfigError where a table is not captured or cannot be read, Unavailable where the connector does not run.
    """
    found = connect.config(NAME) or {}
    if missing := [table for table in tables if table not in connector.tables(found)]:
        advice = f"`millrace cdc register --tables {','.join([*connector.tables(found), *missing])}` adds them"
        raise ConfigError(f"{', '.join(missing)}: not captured; {advice}")
    _require_running(connect)
    request = str(uuid.uuid4())
    with postgres.connection(postgres.source(settings)) as source, browse.consumer(settings.kafka_bootstrap) as reader:
        begin = tail.ends(reader, NOTES)
        wanted = {"type": "INCREMENTAL", "data-collections": [connector.pattern(table) for table in tables]}
        _signal(source, request, "execute-snapshot", wanted)
        tell("asked for")
        try:
            notes = _notes(tail.follow(reader, NOTES, begin), request, settings.registry_url or "")
            return _follow(connect, notes, tell)
        except ConfigError:  # it would go on with what fails, and take no other request
            _signal(source, str(uuid.uuid4()), "stop-snapshot", {"type": "INCREMENTAL"})
            raise


def _follow(connect: Connect, notes: Iterator[dict[str, Any] | None], tell: Tell) -> int:
    rows, begun, deadline = 0, False, time.monotonic() + BEGUN_WITHIN
    for note in notes:
        if note is None:
            _require_running(connect)
            if not begun and time.monotonic() > deadline:
                raise Unavailable(f"{NAME} did not begin within {BEGUN_WITHIN:.0f} s: `millrace cdc lag` shows why")
            continue
        begun, told = True, note.get("additional_data", {})
        if note["type"] == "DATA_COLLECTIONS_RESOLVED" and not told.get("data_collections"):
            # It would say no more: it has not understood the names.
            raise ConfigError(
                "Debezium finds no such table: of a name that wants quotes it takes no snapshot while the stream runs;"
                " `millrace cdc register --resnapshot` reads it"
            )
        if note["type"] == "TABLE_SCAN_COMPLETED":
            table, state = told.get("scanned_collection", "a table"), told.get("status", "")
            if state not in DONE:
                raise ConfigError(f"{table} was not read: {state}; the log of Kafka Connect says why")
            rows += int(told.get("total_rows_scanned", 0))
            tell(f"{table}: all {told.get('total_rows_scanned')} rows")
        elif note["type"] in ENDED:
            if note["type"] != "COMPLETED":
                raise ConfigError(f"the snapshot was ended: {note['type'].lower()}")
            return rows
        elif told.get("last_processed_key"):
            table, last = told.get("current_collection_in_progress", ""), told["last_processed_key"]
            tell(f"{table}: up to key {last} of {told.get('maximum_key', '?')}")
    raise AssertionError("notes never end")


def _require_running(connect: Connect) -> None:
    status = connect.status(NAME)
    if status is None or not status.running:
        why = f" ({status.reason})" if status and status.failed else ""
        raise Unavailable(f"{NAME} does not run: {status or 'there is none'}{why}; `millrace cdc register` starts it")


def _signal(source: Connection, request: str, kind: str, data: dict[str, Any]) -> None:
    statement = sql.SQL("INSERT INTO {} (id, type, data) VALUES (%s, %s, %s)").format(postgres.name(SIGNALS))
    source.execute(statement, [request, kind, json.dumps(data)])


def _notes(batches: Iterator[list[ConsumerRecord]], request: str, registry: str) -> Iterator[dict[str, Any] | None]:
    """Yield what the connector tells of `request`, in JSON or Avro, and None where it says nothing for a moment."""
    for records in batches:
        notes = (json.loads(to_json(record.value, registry)) for record in records if record.value)
        yield from (note for note in notes if note.get("id") == request)
        yield None
