"""Where pages read: a SQL store and, where its address is set, MongoDB."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlalchemy import Engine

from millrace import config
from millrace.errors import MillraceError
from millrace.sinks.sql import database
from millrace.view import others, sentiment


@dataclass(frozen=True)
class Stores:
    """The SQL store `name` and the MongoDB of the settings, which are looked up anew: servers come and go."""

    name: str
    home: Path

    @property
    def engine(self) -> Engine:
        """The SQL store, for reading alone; raises ConfigError while there is no file of it."""
        return _engine(config.load(home=self.home).store_url(self.name))

    @property
    def tables(self) -> frozenset[str]:
        """The names of the SQL store's tables, none where it cannot be asked: each page says what is wrong."""
        try:
            return others.tables(self.engine)
        except MillraceError:
            return frozenset()

    @property
    def documents(self) -> str | None:
        """The URL of MongoDB, if one is set."""
        url = config.load(home=self.home).mongodb_url
        return url.get_secret_value() if url else None

    @property
    def labels(self) -> str | None:
        """The URL of ClickHouse, if one is set or a job has labelled posts in this home: no server is started else."""
        settings = config.load(home=self.home)
        return settings.clickhouse if settings.clickhouse_url or sentiment.is_used(self.home) else None

    @property
    def is_captured(self) -> bool:
        """Whether the settings name a PostgreSQL and the Kafka Connect that captures it."""
        settings = config.load(home=self.home)
        return bool(settings.cdc_source and settings.connect_url)


@cache
def _engine(url: str) -> Engine:
    return database.reader(url)
