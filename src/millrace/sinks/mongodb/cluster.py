"""Connect to MongoDB: one client per process and URL, and errors that say where and what to do.

No message holds a password: errors name hosts and user, never the URL.
"""

import atexit
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

from millrace.errors import ConfigError, MillraceError, Unavailable

DATABASE = "millrace"  # where the URL names none
TIMEOUT = 10_000  # milliseconds to find a server
SILENCE = 60_000  # milliseconds for an answer
REFUSED = (13, 18)  # codes: Unauthorized, AuthenticationFailed
AGAIN = (ConnectionFailure, AutoReconnect, ExecutionTimeout, WTimeoutError)
Client = MongoClient[dict[str, Any]]


@functools.cache
def connect(url: str, timeout: int = TIMEOUT) -> Client:
    """Return this process's client for `url`, which connects on first use; raises ConfigError for a wrong URL.

    `timeout` is how many milliseconds a server may take to be found.

    Writes wait for the majority, unless the URL says otherwise. The caller retries, so the client itself never does.
    """
    given = {"w": "majority", "retryWrites": False, "serverSelectionTimeoutMS": timeout, "socketTimeoutMS": SILENCE}
    lower = url.lower()
    options = {name: value for name, value in given.items() if f"{name.lower()}=" not in lower}
    try:
        client: Client = MongoClient(url, tz_aware=True, appname="millrace", **options)  # type: ignore[arg-type]
    except (PyMongoError, ValueError) as error:  # ConfigurationError, InvalidURI: some quote the URL
        raise ConfigError(
            f"{place(url)}: {type(error).__name__}: expected mongodb://USER:PASSWORD@HOST:27017/DATABASE?tls=true"
        ) from None
    atexit.register(client.close)
    return client


def collection(url: str, name: str, timeout: int = TIMEOUT) -> Collection[dict[str, Any]]:
    """Return the collection `name`, `DATABASE.NAME` or a name in the URL's database; `timeout` as in `connect`."""
    database, _, own = name.rpartition(".")
    client = connect(url, timeout)
    return (client[database] if database else client.get_default_database(DATABASE))[own]


def place(url: str) -> str:
    """Return where `url` leads, without password: `MongoDB at host:27017, user millrace`."""
    login, at, hosts = url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")
    user = login.partition(":")[0]
    return f"MongoDB at {hosts}" + (f", user {user}" if at else "")


@contextmanager
def errors(url: str, what: str) -> Iterator[None]:
    """Turn the client's errors into Unavailable where a retry may help, else ConfigError; `what` begins their text."""
    try:
        yield
    except PyMongoError as error:
        raise _translate(error, f"{what} in {place(url)}: {' '.join(str(error).split())[:500]}") from None


def _translate(error: PyMongoError, text: str) -> MillraceError:
    if isinstance(error, ConfigurationError):
        return ConfigError(text)
    if isinstance(error, OperationFailure) and error.code in REFUSED:
        return ConfigError(f"{text} (check user, password and roles in MILLRACE_MONGODB_URL)")
    if isinstance(error, AGAIN) or error.has_error_label("RetryableWriteError"):
        return Unavailable(text)
    return ConfigError(text)
