"""Debezium's records of a PostgreSQL, and their delivery into ClickHouse: in any order, any number of times."""

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import clickhouse_connect
import httpx
import psycopg
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from kafka import TopicPartition
from pyspark.sql import DataFrame, SparkSession
from sqlalchemy import make_url

from millrace.cdc import catalog, connector, demo
from millrace.cdc.follow import Choice, Following
from millrace.cdc.merge import merge
from millrace.config import Settings
from millrace.kafka.changes import changes
from tests import copied
from tests.support import reader, wait

MARKS = "public.cdc_marks"  # a row of it, once captured, says that all before it is
ANY_TABLE = "(?!pg_catalog|information_schema).*"
SCHEMA = pa.schema(
    [
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("headers", pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))),
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
    ]
)

Records = list[dict[str, Any]]


@dataclass
class Capture:
    """A connector of its own for all tables of the database, those that come later too."""

    settings: Settings
    name: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:8]}")
    changed: Mapping[str, str] = field(default_factory=dict)  # settings of the connector that are others
    generation: int = 0

    def __post_init__(self) -> None:
        self.engine = catalog.connect(self.settings.cdc_source or "")

    @property
    def source(self) -> str:
        """The database as psycopg takes it."""
        return (
            make_url(self.settings.cdc_source or "").set(drivername="postgresql").render_as_string(hide_password=False)
        )

    def execute(self, *statements: str) -> None:
        """Execute statements, each by itself; several in one string are one transaction."""
        with psycopg.connect(self.source, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def start(self) -> None:
        """Begin with a snapshot of all rows, the next generation."""
        self.generation += 1
        own = {
            "database.dbname": str(self.engine.url.database),
            "slot.name": self.name,
            "publication.name": self.name,
            "publication.autocreate.mode": "all_tables",
            "table.include.list": ANY_TABLE,
        }
        config = connector.config([], prefix=self.name, generation=self.generation) | own | self.changed
        self.execute(demo.SIGNALS, f"CREATE TABLE IF NOT EXISTS {MARKS} (id text PRIMARY KEY)")
        self._ask("PUT", "/config", json=config)
        self.all_arrived()

    def stop(self) -> None:
        """Take connector, slot and publication away: changes are lost from here on."""
        self._ask("DELETE", "")
        dropped = (
            f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '{self.name}'"
        )
        wait(lambda: self._tried(dropped), "slot that nobody reads")
        self.execute(f"DROP PUBLICATION IF EXISTS {self.name}")
        self.engine.dispose()

    def all_arrived(self) -> None:
        """Return once Kafka has all that was committed before."""
        mark = uuid.uuid4().hex
        self.execute(f"INSERT INTO {MARKS} VALUES ('{mark}')")
        wait(lambda: any(mark.encode() in (each["value"] or b"") for each in self._read([MARKS])), "mark in Kafka")

    def all_sent(self) -> None:
        """Return once Kafka has all that was committed before, though a worker died with some of it on its way."""
        self.all_arrived()
        asked = "SELECT pg_current_wal_lsn()"
        with psycopg.connect(self.source, autocommit=True) as connection:
            ((now,),) = connection.execute(asked).fetchall()
        reached = f"SELECT FROM pg_replication_slots WHERE slot_name = '{self.name}' AND confirmed_flush_lsn >= '{now}'"

        def confirmed() -> bool:
            with psycopg.connect(self.source, autocommit=True) as connection:
                return bool(connection.execute(reached).fetchall())

        wait(confirmed, "log that is confirmed")

    def records(self, tables: Sequence[str]) -> Records:
        """Return all that Kafka has of the tables now, every partition in order, once all has arrived."""
        self.all_arrived()
        return self._read(tables)

    def snapshot(self, *tables: str) -> None:
        """Ask for an incremental snapshot, which runs while the stream does."""
        data = json.dumps({"type": "incremental", "data-collections": list(tables)})
        with psycopg.connect(self.source, autocommit=True) as connection:
            signal = f"INSERT INTO {connector.SIGNALS} VALUES (%s, 'execute-snapshot', %s)"
            connection.execute(signal, [uuid.uuid4().hex, data])

    def database(self) -> str:
        """Return the address of a new database of ClickHouse."""
        server = self.settings.store_url("clickhouse")
        name = f"cdc_{uuid.uuid4().hex[:8]}"
        clickhouse_connect.get_client(dsn=server).command(f"CREATE DATABASE {name}")
        return f"{server}/{name}"

    def _read(self, tables: Sequence[str]) -> Records:
        found = []
        with reader(self.settings.kafka_bootstrap) as consumer:
            names = [connector.topic(table, self.name) for table in tables]
            places = [
                TopicPartition(name, each) for name in names for each in consumer.partitions_for_topic(name) or ()
            ]
            if not places:
                return []
            consumer.assign(places)
            consumer.seek_to_beginning(*places)
            ends = consumer.end_offsets(places)
            while any(consumer.position(place) < ends[place] for place in places):
                found += [_record(each) for batch in consumer.poll(200).values() for each in batch]
        return found

    def _ask(self, method: str, path: str, **options: Any) -> None:
        url = f"{self.settings.connect_url}/connectors/{self.name}-{self.generation}{path}"
        answer = httpx.request(method, url, timeout=60, trust_env=False, **options)
        assert answer.is_success, answer.text

    def _tried(self, statement: str) -> bool:
        try:
            self.execute(statement)
        except psycopg.errors.ObjectInUse:
            return False
        return True


@contextmanager
def capturing(settings: Settings, **changed: str) -> Iterator[Capture]:
    capture = Capture(settings, changed={name.replace("_", "."): value for name, value in changed.items()})
    try:
        capture.start()
        yield capture
    finally:
        capture.stop()


@dataclass
class Copy:
    """Tables of a capture in a database of ClickHouse of their own; `letters` are the dead ones of all batches."""

    capture: Capture
    spark: SparkSession
    choice: Choice
    letters: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.url = self.capture.database()
        self.begin()

    def begin(self) -> None:
        """Start as a job does, once more too."""
        self.following = Following(self.capture.engine, self.url, self.choice)
        self.following.begin()
        self.writer = merge(
            self.url, self.following.inserts, refused=self._refused, settle=self.following.settle
        )  # fmt: skip

    @property
    def client(self) -> Client:
        return clickhouse_connect.get_client(dsn=self.url)

    def take(self, *batches: Records) -> None:
        """Deliver records, batch by batch, each in as many parts as it has thousands."""
        for batch in batches:
            self.writer(changes(frame(self.spark, batch)), 0)

    def catch_up(self) -> None:
        """Deliver all that there is, from the beginning."""
        self.take(self.capture.records(self.choice.tables))

    def view(self, table: str) -> str:
        return self.following.replicas[table].view

    def read(self, table: str) -> list[tuple[Any, ...]]:
        """Return the rows of a view, in the order of its key."""
        replica = self.following.replicas[table]
        return self.client.query(f"SELECT * FROM {replica.view} ORDER BY {replica.order}").result_rows

    def differences(self) -> dict[str, list[str]]:
        """Return by table what ClickHouse holds otherwise than PostgreSQL; nothing where all is equal."""
        found = {}
        for table, replica in self.following.replicas.items():
            left_out = [name.rpartition(".")[2] for name in self.choice.without if name.startswith(f"{table}.")]
            ours = copied.rows(self.capture.source, table, replica.key)
            told = copied.differences(ours, copied.copied(self.client, replica.view, replica.key), left_out)
            found |= {table: told} if told else {}
        return found

    def _refused(self, batch: DataFrame, _: int) -> None:
        self.letters += [row.asDict() for row in batch.collect()]


def frame(spark: SparkSession, records: Iterable[dict[str, Any]]) -> DataFrame:
    """Return records as Spark reads them from Kafka."""
    return spark.createDataFrame(pa.Table.from_pylist(list(records), SCHEMA))


def _record(found: Any) -> dict[str, Any]:
    headers = [{"key": name, "value": value} for name, value in found.headers]
    own = {"key": found.key, "value": found.value, "headers": headers}
    return own | {"topic": found.topic, "partition": found.partition, "offset": found.offset}
