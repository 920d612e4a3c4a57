"""The connector `postgres-cdc`: its whole configuration, of which docker/debezium/postgres-cdc.json is made.

docs/cdc.md says of each setting why it is so. `python -m millrace.cdc.connector` prints the file.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence

from millrace.errors import ConfigError

NAME = "postgres-cdc"
PREFIX = "cdc"  # of the topics: <prefix>.<schema>.<table>
SLOT = PUBLICATION = "millrace_cdc"
SIGNALS = "public.millrace_cdc_signals"  # what asks for a snapshot while the stream runs
NOTES = "cdc-notifications"  # the topic in which the connector tells how far its snapshots are
HEADER = "generation"  # on each record: a new initial snapshot has the next number
ANEW = "millrace.begins.anew"  # in a connector's configuration from its new generation on until its slot is dropped
DEMO = ("public.demo_table1", "public.demo_table2")
LARGEST = 32 * 1024**2  # bytes of a record, before it is compressed
AVRO = "io.apicurio.registry.utils.converter.AvroConverter"
JSON = "org.apache.kafka.connect.json.JsonConverter"
Keys = Mapping[str, Sequence[str]]
_PARTS = re.compile(r"(?:([^.,\s]+)\.)?([^.,]+)")
PARTS = ("key", "value")
PLAIN = (("", JSON), (".schemas.enable", "false"), (".replace.null.with.default", "false"))
COMPATIBLE = "/apis/ccompat/v7"  # what the URL of Apicurio's interface for clients of Confluent's ends with

SETTINGS = {
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "tasks.max": "1",
    "database.hostname": "${env:CDC_SOURCE_HOST}",
    "database.port": "${env:CDC_SOURCE_PORT}",
    "database.user": "${env:CDC_SOURCE_USER}",
    "database.password": "${env:CDC_SOURCE_PASSWORD}",
    "database.dbname": "${env:CDC_SOURCE_DATABASE}",
    "database.sslmode": "${env:CDC_SOURCE_SSLMODE}",
    "plugin.name": "pgoutput",
    "slot.name": SLOT,
    "publication.name": PUBLICATION,
    "publication.autocreate.mode": "filtered",
    "publish.via.partition.root": "true",
    "snapshot.mode": "initial",
    "signal.enabled.channels": "source",
    "signal.data.collection": SIGNALS,
    "incremental.snapshot.watermarking.strategy": "insert_delete",
    "incremental.snapshot.chunk.size": "4096",
    "skipped.operations": "none",
    "tombstones.on.delete": "true",
    "decimal.handling.mode": "string",
    "time.precision.mode": "microseconds",
    "interval.handling.mode": "string",
    "binary.handling.mode": "bytes",
    "hstore.handling.mode": "json",
    "include.unknown.datatypes": "true",
    "extended.headers.enabled": "false",
    "notification.enabled.channels": "sink",
    "notification.sink.topic.name": NOTES,
    "heartbeat.interval.ms": "10000",
    "heartbeat.action.query": "SELECT pg_logical_emit_message(false, 'heartbeat', now()::text)",
    "message.prefix.exclude.list": "heartbeat",
    "poll.interval.ms": "100",
    "max.queue.size.in.bytes": str(2 * LARGEST),
    "header.converter": JSON,
    "header.converter.schemas.enable": "false",
    "topic.creation.default.partitions": "3",
    "topic.creation.default.replication.factor": "-1",
    "topic.creation.default.cleanup.policy": "delete",
    "topic.creation.default.retention.ms": "-1",
    "topic.creation.default.max.message.bytes": str(LARGEST),
    "producer.override.acks": "all",
    "producer.override.enable.idempotence": "true",
    "producer.override.compression.type": "lz4",
    "producer.override.max.request.size": str(LARGEST),
    "producer.override.buffer.memory": str(2 * LARGEST),
}


def config(
    tables: Sequence[str],
    *,
    keys: Keys | None = None,
    excluded: Keys | None = None,
    prefix: str = PREFIX,
    generation: int = 1,
    registry: str | None = None,
) -> dict[str, str]:
    """Return the connector's configuration for `tables`, each `schema.table`, with the signals' table beside them.

    By table: `keys` are the columns of its key where it has no primary key, `excluded` those that are left out.
    `registry`: write Avro, whose schemas are in the registry of that URL; None: JSON.
    """
    columns = sorted(f"{pattern(table)}:{','.join(names)}" for table, names in (keys or {}).items())
    without = [f"{pattern(table)}[.]{re.escape(name)}" for table, names in (excluded or {}).items() for name in names]
    return {
        **SETTINGS,
        **(
            _avro(registry)
            if registry
            else {f"{part}.converter{name}": value for part in PARTS for name, value in PLAIN}
        ),
        "topic.prefix": prefix,
        "table.include.list": ",".join(map(pattern, (*tables, SIGNALS))),
        **({"message.key.columns": ";".join(columns)} if columns else {}),
        **({"column.exclude.list": ",".join(without)} if without else {}),
        "transforms": HEADER,
        f"transforms.{HEADER}.type": "org.apache.kafka.connect.transforms.InsertHeader",
        f"transforms.{HEADER}.header": HEADER,
        f"transforms.{HEADER}.value.literal": str(generation),
    }


def added(found: dict[str, str]) -> dict[str, str]:
    """Return what a user added to the connector's configuration."""
    ours = (*SETTINGS, ANEW, "topic.prefix", "table.include.list", "message.key.columns", "column.exclude.list")
    begins = ("transforms", "key.converter", "value.converter", "schema.name.adj", "field.name.adj")
    return {name: value for name, value in found.items() if name not in ours and not name.startswith(begins)}


def is_avro(found: dict[str, str]) -> bool:
    """Return whether a connector writes Avro."""
    return found.get("value.converter") == AVRO


def generation(found: dict[str, str]) -> int:
    """Return the generation of a connector's configuration."""
    return int(found.get(f"transforms.{HEADER}.value.literal", 1))


def tables(found: dict[str, str]) -> list[str]:
    """Return the tables of a connector's configuration, without that of the signals."""
    patterns = found.get("table.include.list", "").split(",")
    return [name for each in patterns if (name := re.sub(r"\\(.)", r"\1", each)) not in ("", SIGNALS)]


def keys(found: dict[str, str]) -> dict[str, list[str]]:
    """Return the keys of a connector's configuration that are no primary keys."""
    pairs = [each.partition(":") for each in found.get("message.key.columns", "").split(";") if each]
    return {re.sub(r"\\(.)", r"\1", table): columns.split(",") for table, _, columns in pairs}


def topic(table: str, prefix: str = PREFIX) -> str:
    """Return the topic of a table: characters that Kafka does not take are underscores, as Debezium writes them."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", f"{prefix}.{table}")


def named(text: str) -> list[str]:
    """Return the tables of `--tables`, each `schema.table` (schema public where none is given). Raises ConfigError."""
    found = [_PARTS.fullmatch(each.strip()) for each in text.split(",")]
    if wrong := [each for each, match in zip(text.split(","), found, strict=True) if not match]:
        raise ConfigError(f"--tables: no table is called {', '.join(map(repr, wrong))}; expected schema.table[,...]")
    return list(dict.fromkeys(f"{match[1] or 'public'}.{match[2]}" for match in found if match))


def keyed(texts: Sequence[str]) -> dict[str, list[str]]:
    """Return the keys of `--key schema.table=column,column`. Raises ConfigError."""
    pairs = [text.partition("=") for text in texts]
    if wrong := [text for text, (_, _, columns) in zip(texts, pairs, strict=True) if not all(columns.split(","))]:
        raise ConfigError(f"--key {wrong[0]!r}: expected schema.table=column[,column]")
    return {named(table)[0]: columns.split(",") for table, _, columns in pairs}


def as_file() -> str:
    """Return docker/debezium/postgres-cdc.json: what POST /connectors takes, for the tables of the demo."""
    return json.dumps({"name": NAME, "config": config(DEMO)}, indent=2) + "\n"


def _avro(registry: str) -> dict[str, str]:
    """Return the settings for Avro as Confluent's clients read it: a zero, the schema's id in four bytes, the data."""
    own = {
        "url": registry.replace(COMPATIBLE, "/apis/registry/v2"),
        "auto-register": "true",
        "as-confluent": "true",
        "use-id": "contentId",
        "headers.enabled": "false",
    }
    converters = {f"{part}.converter.apicurio.registry.{name}": value for part in PARTS for name, value in own.items()}
    names = {f"{what}.name.adjustment.mode": "avro" for what in ("schema", "field")}
    return {**{f"{part}.converter": AVRO for part in PARTS}, **converters, **names}


def pattern(table: str) -> str:
    """Return what Debezium, which takes regular expressions, matches with this table."""
    return ".".join(map(re.escape, table.split(".", 1)))


if __name__ == "__main__":
    sys.stdout.write(as_file())
