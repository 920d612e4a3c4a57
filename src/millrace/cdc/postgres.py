"""Connections to the PostgreSQL that is captured, and names in its statements."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from sqlalchemy import make_url

from millrace.config import Settings
from millrace.errors import ConfigError, Unavailable

CONNECT = 10  # seconds to open a connection
Connection = psycopg.Connection[dict[str, Any]]


def source(settings: Settings) -> str:
    """Return the SQLAlchemy URL of what is captured; raises ConfigError where none is set."""
    if not settings.cdc_source:
        raise ConfigError(
            "MILLRACE_CDC_SOURCE_URL is not set: set it to the PostgreSQL to capture, or `millrace up postgres`"
        )
    return settings.cdc_source


def conninfo(url: str) -> str:
    """Return the SQLAlchemy URL `url` as libpq takes it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def connection(url: str) -> Iterator[Connection]:
    """Open a connection to the SQLAlchemy URL `url`, each statement a transaction, its rows dictionaries.

    Raises Unavailable where the server does not answer, ConfigError where it refuses a statement; neither message
    holds the password.
    """
    found = make_url(url)
    where = f"PostgreSQL at {found.username or ''}@{found.host}:{found.port or 5432}/{found.database}"
    options: dict[str, Any] = {"connect_timeout": CONNECT, "application_name": "millrace cdc"}
    try:
        opened = psycopg.connect(conninfo(url), autocommit=True, row_factory=dict_row, **options)
    except psycopg.Error as error:
        raise Unavailable(f"{where}: {str(error).strip()}") from None
    with opened:
        try:
            yield opened
        except psycopg.OperationalError as error:
            raise Unavailable(f"{where}: {str(error).strip()}") from error
        except psycopg.Error as error:
            raise ConfigError(f"{where}: {str(error).strip()}") from error


def name(table: str) -> sql.Identifier:
    """Return `schema.table` as it stands in a statement."""
    return sql.Identifier(*table.split(".", 1))


def quoted(table: str) -> str:
    """Return `schema.table` as people type it: quoted only where it must be."""
    return ".".join(map(plain, table.split(".", 1)))


def plain(identifier: str) -> str:
    """Return a name as people type it: quoted only where it must be."""
    bare = identifier.isascii() and identifier.isidentifier() and identifier == identifier.lower()
    return identifier if bare else '"' + identifier.replace('"', '""') + '"'
