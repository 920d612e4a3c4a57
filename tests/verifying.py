"""Rows of PostgreSQL and hand-made changes of them in ClickHouse, without Debezium, Kafka and Spark."""

import json
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pyarrow as pa
from clickhouse_connect.driver.client import Client
from sqlalchemy import Engine

from millrace.cdc.follow import Choice, Following
from millrace.cdc.merge import Merging
from millrace.cdc.replica import Replica
from millrace.config import Settings
from millrace.kafka.changes import GONE, ROW
from millrace.sinks.clickhouse import client
from millrace.sinks.retry import Patience

PLACES = count(1000)  # a later change has a later one


@dataclass
class Copied:
    """A table `schema.table` of PostgreSQL, and what a job would have made of it in ClickHouse."""

    settings: Settings
    source: Engine  # that may write
    table: str
    as_text: frozenset[str] = frozenset()
    following: Following = field(init=False)

    def __post_init__(self) -> None:
        choice = Choice((self.table,), {}, frozenset(f"{self.table}.{name}" for name in self.as_text))
        self.following = Following(self.source, self.settings.clickhouse, choice)
        self.following.begin()

    @property
    def replica(self) -> Replica:
        return self.following.replicas[self.table]

    @property
    def target(self) -> Client:
        return client.connect(self.settings.clickhouse)

    def merge(self, *rows: dict[str, Any], gone: bool = False) -> None:
        """Put rows, as Debezium would send them, into ClickHouse."""
        merging = Merging(self.settings.clickhouse, self.following.inserts(), Patience())
        letters = merging.take(pa.Table.from_pylist([self._change(row, gone=gone) for row in rows], CHANGES))
        assert not [*letters, *merging.flush()]

    def _change(self, row: dict[str, Any], *, gone: bool) -> dict[str, Any]:
        place = next(PLACES)
        told = {"table": self.table, "kind": GONE if gone else ROW, "row": json.dumps(row), "partial": False}
        where = {"generation": 1, "streamed": True, "commit": place, "lsn": place, "ended": True, "changed_at": 0}
        return told | where | {"topic": "t", "partition": 0, "offset": place}

    def spoil(self, statement: str) -> None:
        """Change storage behind millrace's back: what follows ALTER TABLE."""
        self.target.command(f"ALTER TABLE {self.replica.storage} {statement}", settings={"mutations_sync": 2})

    def write(self, *statements: str) -> None:
        """Run statements at the source."""
        with self.source.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement.replace("%", "%%"))


TEXT, LONG, FLAG = pa.string(), pa.int64(), pa.bool_()
CHANGES = pa.schema(
    {
        **dict.fromkeys(("table", "kind", "row", "old_key"), TEXT),
        **{"partial": FLAG, "generation": pa.int32(), "streamed": FLAG, "commit": LONG, "lsn": LONG, "ended": FLAG},
        **{"changed_at": LONG, "topic": TEXT, "partition": pa.int32(), "offset": LONG, "reason": TEXT},
        "value": pa.binary(),
    }
)
