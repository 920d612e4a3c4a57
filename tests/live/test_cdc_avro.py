"""The copy by records of Avro: by Debezium's converter and a registry of schemas, through the job, into ClickHouse."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import clickhouse_connect
import psycopg
import pytest
from sqlalchemy import make_url
from tests import copied
from tests.live.test_cdc_source import clear, quiet
from tests.support import Job, wait

from millrace.cdc import postgres, register
from millrace.cdc.register import Wanted
from millrace.config import Settings

TABLE, PREFIX = "cdc_test.evolving", "cdc-avro"
COLUMNS = "id integer PRIMARY KEY, name text, price numeric(10,2), made timestamptz, data bytea, whole boolean NOT NULL"


@pytest.fixture
def settings(registry: Settings, clickhouse: Settings) -> Iterator[Settings]:
    """Those of `registry`, without anything that was captured."""
    clear(registry)
    yield registry
    clear(registry)


def test_a_column_that_is_added_while_records_of_avro_are_copied(
    settings: Settings, tmp_path: Path, begin: Callable[..., Any]
) -> None:
    """Each record is read by the schema with which it was written: those of before lack the column."""
    source = make_url(postgres.source(settings)).set(drivername="postgresql").render_as_string(hide_password=False)
    server, name = settings.store_url("clickhouse"), f"avro_{uuid.uuid4().hex[:8]}"
    store = clickhouse_connect.get_client(dsn=server)
    store.command(f"CREATE DATABASE {name}")
    with psycopg.connect(source, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA cdc_test")
        connection.execute(f"CREATE TABLE {TABLE} ({COLUMNS})".encode())
        connection.execute(
            f"INSERT INTO {TABLE} SELECT n, repeat('ä', n * 2000), n / 4.0, '2024-02-29 12:00:00.000001+00', '\\x00ff',"
            " n % 2 = 0 FROM generate_series(1, 4) n".encode()
        )
        register.register(settings, Wanted([TABLE], prefix=PREFIX, avro=True), quiet)
        own = {
            "MILLRACE_CLICKHOUSE_URL": f"{server}/{name}",
            "MILLRACE_CDC_SOURCE_URL": postgres.source(settings),
            "MILLRACE_REGISTRY_URL": settings.registry_url or "",
        }
        options = ["--tables", TABLE, "--prefix", PREFIX, "--encoding", "avro", "--trigger", "0s"]
        job = begin(Job, "cdc", settings, tmp_path, *options, **own)

        def equal() -> bool:
            ours = copied.rows(source, TABLE, ["id"])
            try:
                theirs = copied.copied(store, f"{name}.cdc_test_evolving", ["id"])
            except clickhouse_connect.driver.exceptions.DatabaseError:  # it is not made yet
                return False
            return not copied.differences(ours, theirs)

        wait(equal, "equal rows", job, 120)
        for statement in (
            f"UPDATE {TABLE} SET price = NULL, data = NULL WHERE id = 1",
            f"ALTER TABLE {TABLE} ADD COLUMN rank bigint, ADD COLUMN state text NOT NULL DEFAULT 'new'",
            f"UPDATE {TABLE} SET rank = id, state = 'old' WHERE id = 2",
            f"UPDATE {TABLE} SET id = 30 WHERE id = 3",
            f"DELETE FROM {TABLE} WHERE id = 4",
            f"INSERT INTO {TABLE} VALUES (5, NULL, 5, NULL, '', true, 7, '')",
        ):
            connection.execute(statement.encode())
        wait(equal, "equal rows", job, 120)
    assert store.query(f"SELECT id, rank, state FROM {name}.cdc_test_evolving ORDER BY id").result_rows == [
        (1, None, "new"), (2, 2, "old"), (5, 7, ""), (30, None, "new"),
    ]  # fmt: skip
    assert job.stop() == 0, job.text()
