"""SQLite, PostgreSQL and MySQL as sinks: create missing tables, upsert rows by key."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import make_url, select

from millrace.config import Settings
from millrace.kafka.results import Result
from millrace.sinks.sink import Need, Sink, Target
from millrace.sinks.sql import database, tables
from millrace.sinks.sql.writer import upsert
from millrace.sinks.together import Writer


def _sink(name: str, *servers: str, embedded: bool = False) -> Sink:
    def writer(result: Result, target: Target) -> Writer:
        url, table = target.settings.store_url(name), tables.stored(result)
        if target.prepare:
            tables.create(url, table)
        return upsert(url, table, patience=target.patience, overwrite=target.overwrite)

    def rows(result: Result, settings: Settings) -> Iterator[dict[str, Any]]:
        engine = database.connect(settings.store_url(name))
        try:
            with database.errors(engine.url), engine.connect() as connection:
                for row in connection.execute(select(tables.stored(result))).mappings():
                    yield dict(row)
        finally:
            engine.dispose()

    def check(settings: Settings) -> str:
        url = settings.store_url(name)
        if database.is_missing(make_url(url)):
            return "no file yet: any job makes it"
        engine = database.connect(url)
        try:
            with database.errors(engine.url), engine.connect():
                return database.place(engine.url)
        finally:
            engine.dispose()

    return Sink(
        name, Need.TABLE, writer, f"{name}_url", embedded=embedded, rows=rows, check=check, servers=servers,
        overwrites=True, relational=True,
    )  # fmt: skip


SQLITE = _sink("sqlite", embedded=True)
POSTGRES = _sink("postgres", "postgres")
MYSQL = _sink("mysql", "mysql", "mariadb")
