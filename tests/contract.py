"""The contract of sinks as data: a result with a column of each kind, its rows, and a fresh store for each sink."""

import threading
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sqlalchemy import make_url, text

from millrace import config
from millrace.config import Settings
from millrace.kafka import results
from millrace.kafka.results import Column, Kind, Result
from millrace.kafka.topics import Topic
from millrace.sinks import registry
from millrace.sinks.retry import Patience
from millrace.sinks.sink import Sink, Target
from millrace.sinks.sql import database
from millrace.sinks.together import Writer

MINUTE = timedelta(minutes=1)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SCHEMA = "name string, n long, price decimal(24,10), note string, done boolean, observed_at timestamp"
COLUMNS = (
    results.key("name", 300),
    results.integer("n", null=True),
    results.decimal("price", 24, null=True),
    results.text("note", 300),
    Column("done", Kind.FLAG, null=True),
    results.time("observed_at", null=True),
)
QUICK = Patience(seconds=60, sleep=threading.Event().wait, chance=lambda: 0.0)
STORES = {  # what proves each sink: its servers, or itself where it needs none
    server: sink for sink in registry.SINKS.values() if sink.rows for server in sink.servers or (sink.name,)
}


class Store:
    """A result of its own in one sink, on one server."""

    def __init__(self, sink: Sink, settings: Settings, columns: tuple[Column, ...] = COLUMNS) -> None:
        name = f"contract_{uuid.uuid4().hex[:8]}"
        self.sink, self.settings = sink, settings
        topic = Topic(name.replace("_", "-"), key="name", schema="contract.v1")
        self.result = Result(name, columns, topic, order="observed_at", version="observed_at")

    def of(self, *columns: Column) -> "Store":
        """A store of the same sink for rows of other columns, of which `name` is the key."""
        return Store(self.sink, self.settings, (COLUMNS[0], *columns, COLUMNS[-1]))

    def writer(self) -> Writer:
        return registry.writer([self.sink.name], self.result, Target(self.settings, QUICK))

    def rows(self) -> dict[str, dict[str, Any]]:
        assert self.sink.rows
        found = list(self.sink.rows(self.result, self.settings))
        assert len({row["name"] for row in found}) == len(found)
        return {row["name"]: row for row in found}


def store(server: str, request: pytest.FixtureRequest, home: Path) -> Store:
    """A fresh store of the sink that `server` proves."""
    sink = STORES[server]
    found = request.getfixturevalue(server) if sink.servers else config.load(home=home)
    if isinstance(found, str):  # a server that `millrace up` does not know, by its URL
        found = request.getfixturevalue("kafka").model_copy(update={sink.setting: SecretStr(found)})
    return Store(sink, found)


def own_database(url: str, name: str) -> str:
    """Make an empty database on a shared server; returns its URL."""
    engine = database.connect(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name}"))
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def row(name: str | None, n: int | None = 1, seconds: float = 0, price: str = "1.5", note: str | None = "x") -> tuple:
    return name, n, Decimal(price), note, True, NOON + timedelta(seconds=seconds)


def batch(spark: SparkSession, *rows: tuple) -> DataFrame:
    return spark.createDataFrame(list(rows), SCHEMA)


def big_batch(spark: SparkSession, size: int, n: int = 7) -> DataFrame:
    return spark.range(size).select(
        F.concat(F.lit("tag\t\\é"), "id").alias("name"),
        F.lit(n).cast("long").alias("n"),
        F.lit("12345.678").cast("decimal(24,10)").alias("price"),
        F.when(F.col("id") % 2 == 0, "even").alias("note"),
        (F.col("id") % 2 == 0).alias("done"),
        F.lit(NOON).alias("observed_at"),
    )
