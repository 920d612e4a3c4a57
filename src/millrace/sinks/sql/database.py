"""Connect to SQL stores: one engine per URL, UTC sessions, and errors that say where and what to do.

No message holds a password: errors name host, user and database, never the URL.
"""

import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy
from sqlalchemy import URL, Engine, ExceptionContext, event
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from millrace.errors import BadRecord, ConfigError, MillraceError, Unavailable
from millrace.sinks.sql.statements import dialect_name

WAIT_FOR_LOCK = 30  # seconds that SQLite waits for another writer
CONNECT = 10  # seconds to open a connection
ANSWER = 300  # seconds without a byte until a server counts as gone; no statement of ours takes so long
READ_ONLY = {  # for a whole session
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
}
OPTIONS: dict[str, dict[str, Any]] = {
    "sqlite": {"timeout": WAIT_FOR_LOCK},
    "postgresql": {
        "connect_timeout": CONNECT,
        "application_name": "millrace",
        "options": "-c timezone=UTC",
        "keepalives_idle": 30,  # a host that vanished is noticed after a minute
        "keepalives_interval": 10,
        "keepalives_count": 3,
    },
    "mysql": {
        "connection_timeout": CONNECT,
        "read_timeout": ANSWER,
        "write_timeout": ANSWER,
        "use_pure": True,  # the C extension wants a newer OpenSSL than systems have
        "charset": "utf8mb4",
        "collation": "utf8mb4_bin",  # the driver's default is unknown to MariaDB
        "time_zone": "+00:00",
        "sql_mode": "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION",
        "allow_local_infile": True,  # the driver sends no file but the one in its own statement
    },
}
# Errors after which a retry may help: refused, gone, shut down, deadlock, lock time-out, connections, disk full
AGAIN: dict[str, set[Any]] = {
    "mysql": {1021, 1040, 1053, 1114, 1158, 1159, 1160, 1161, 1205, 1213, 1290, 1317, 1927}
    | {2002, 2003, 2005, 2006, 2013, 2014, 2045, 2048, 2055, 3024, 4031, -1},
    "postgresql": {"08", "40", "53", "55", "57"},  # SQLSTATE classes
    "sqlite": {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR},
}
DRIVERS = ("sqlite3", "psycopg", "mysql.connector")
REFUSED = re.compile(
    r"access denied|authentication failed|no pg_hba|(role|database) \S+ does not exist|unknown database",
    re.I,
)


def connect(url: str) -> Engine:
    """Return an engine for `url`; it connects on first use, and again after the server restarted.

    Sessions are in UTC; SQLite's transactions take the write lock at their start. Raises ConfigError for a wrong URL.
    """
    engine = _engine(url)
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    event.listen(engine, "handle_error", _note_timeouts)
    return engine


def _note_timeouts(context: ExceptionContext) -> None:
    """Remove a connection that timed out from the pool, which SQLAlchemy does not do by itself."""
    if type(context.original_exception).__name__ in ("ReadTimeoutError", "WriteTimeoutError"):
        context.is_disconnect = True


def reader(url: str) -> Engine:
    """Return an engine for `url` whose sessions cannot write; they are in UTC, too.

    Raises ConfigError for a wrong URL, and for an SQLite file that does not exist.
    """
    engine = _engine(url)
    file = engine.url.database
    if engine.dialect.name == "sqlite" and file:
        if not Path(file).exists():
            raise ConfigError(f"SQLite file {file} is not there yet: `millrace tables create` or any job makes it")
        only_read = engine.url.set(database=f"file:{quote(file)}", query={"mode": "ro", "uri": "true"})
        return _engine(only_read, poolclass=NullPool)  # so that a new file under the old name is noticed

    @event.listens_for(engine, "connect")
    def _(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(READ_ONLY[dialect_name(engine.dialect.name)])
        cursor.close()
        connection.commit()

    return engine


def _engine(url: str | URL, **options: Any) -> Engine:
    try:
        parsed = sqlalchemy.make_url(url)
        name = dialect_name(parsed.get_backend_name())
        ours = {key: value for key, value in OPTIONS[name].items() if key not in parsed.query}
        return sqlalchemy.create_engine(
            parsed, connect_args=ours, pool_pre_ping=name != "sqlite", hide_parameters=True, **options
        )
    except (ArgumentError, ValueError, ImportError):  # their texts may quote the URL with its password
        raise ConfigError(
            "not a usable SQL address: expected sqlite:///FILE, "
            "postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE or "
            "mysql+mysqlconnector://USER:PASSWORD@HOST:PORT/DATABASE"
        ) from None


def _prepare_sqlite(engine: Engine) -> None:
    file = engine.url.database
    if file and file != ":memory:":
        Path(file).parent.mkdir(parents=True, exist_ok=True)

    @event.listens_for(engine, "connect")
    def _(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions are ours, begun below
        connection.execute("PRAGMA journal_mode=WAL")  # readers and the writer do not wait for each other

    @event.listens_for(engine, "begin")
    def _(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def place(url: URL) -> str:
    """Return where `url` leads, without password: `mysql at localhost:3306, user millrace, database posts`."""
    name = dialect_name(url.get_backend_name())
    if name == "sqlite":
        return f"SQLite file {(url.database or '').removeprefix('file:')}"
    port = f":{url.port}" if url.port else ""
    return f"{name} at {url.host or 'localhost'}{port}, user {url.username}, database {url.database}"


def is_missing(url: URL) -> bool:
    """Return whether `url` names an SQLite file that does not exist yet."""
    return dialect_name(url.get_backend_name()) == "sqlite" and not Path(url.database or "").exists()


@contextmanager
def errors(url: URL, what: str = "") -> Iterator[None]:
    """Turn a driver's errors into Unavailable where a retry may help, else ConfigError or BadRecord."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, (SQLAlchemyError, *_raised("Error"))):
            raise
        raise _translate(error.orig if isinstance(error, DBAPIError) else error, url, what) from None


def _raised(*names: str) -> tuple[type[Exception], ...]:
    """Return the exceptions `names` of the drivers in use, which COPY and connection events raise past SQLAlchemy."""
    return tuple(getattr(sys.modules[driver], name) for driver in DRIVERS if driver in sys.modules for name in names)


def _translate(cause: object, url: URL, what: str) -> MillraceError:
    text = f"{what}{place(url)}: {' '.join(str(cause).split())}"
    if REFUSED.search(text):
        return ConfigError(f"{text} (check user, password and database)")
    if _may_pass(cause, dialect_name(url.get_backend_name())):
        return Unavailable(text)
    if isinstance(cause, _raised("DataError", "IntegrityError")):
        return BadRecord(text)
    return ConfigError(text)


def _may_pass(cause: Any, name: str) -> bool:
    if name == "mysql":
        return getattr(cause, "errno", None) in AGAIN[name]
    if name == "postgresql":
        state = getattr(cause, "sqlstate", None)
        return state[:2] in AGAIN[name] if state else type(cause).__name__ == "OperationalError"
    return (getattr(cause, "sqlite_errorcode", 0) & 0xFF) in AGAIN[name]
