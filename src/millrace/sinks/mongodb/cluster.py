"""Connect to MongoDB: one client per process and URL, and errors that say where and what to do.

No message holds a password: errors name hosts and user, never the URL.
"""

import atexit
import functools
import re
import warnings
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

EXAMPLE = "mongodb://USER:PASSWORD@HOST:27017/DATABASE?tls=true"
DATABASE = "millrace"  # where the URL names none
TIMEOUT = 10_000  # milliseconds to find a server
SILENCE = 60_000  # milliseconds for an answer
REFUSED = (13, 18)  # codes: Unauthorized, AuthenticationFailed
AGAIN = (ConnectionFailure, AutoReconnect, ExecutionTimeout, WTimeoutError)
WRONG = (PyMongoError, ValueError, TypeError, OSError, UserWarning)  # what the client makes of wrong URLs
Client = MongoClient[dict[str, Any]]


@functools.cache
def connect(url: str, timeout: int = TIMEOUT) -> Client:
    """Return this process's client for `url`, which connects on first use; raises ConfigError for a wrong URL.

    `timeout` is how many milliseconds a server may take to be found. Wrong are also options that the client does not
    know, and w=0, under which nobody hears what was not written. Writes wait for the majority, unless the URL says
    otherwise. The caller retries, so the client itself never does.
    """
    given = {"w": "majority", "retryWrites": False, "serverSelectionTimeoutMS": timeout, "socketTimeoutMS": SILENCE}
    named = {option.partition("=")[0].lower() for option in re.split("[&;]", url.rpartition("?")[2])}
    options = {name: value for name, value in given.items() if name.lower() not in named}
    try:
        client = _client(url, **options)
    except WRONG:
        raise ConfigError(f"{place(url)}: {_wrong(url)}; expected {EXAMPLE}") from None
    if not client.write_concern.acknowledged:
        client.close()
        raise ConfigError(f"{place(url)}: with w=0 nobody hears what was not written: leave it out")
    atexit.register(client.close)
    return client


def _client(url: str, **options: Any) -> Client:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # of an option that would be left out, such as tsl=true
        return MongoClient(url, tz_aware=True, appname="millrace", **options)


def _wrong(url: str) -> str:
    """Return what is wrong with `url`: what the client says of one without its secrets, for it may quote them."""
    scheme, _, rest = url.partition("://")
    _, at, where = rest.rpartition("@")
    bare = re.sub(r"[^?&;]*(password|properties)=[^&;]*[&;]?", "", where, flags=re.IGNORECASE)
    try:
        _client(f"{scheme}://{'user:password@' if at else ''}{bare}").close()
    except WRONG as error:
        return " ".join(str(error).split())[:300]
    return "user and password are to be written as in URLs, such as %40 for @"


def collection(url: str, name: str, timeout: int = TIMEOUT) -> Collection[dict[str, Any]]:
    """Return the collection `name`, `DATABASE.NAME` or a name in the URL's database; `timeout` as in `connect`."""
    database, _, own = name.rpartition(".")
    client = connect(url, timeout)
    return (client[database] if database else client.get_default_database(DATABASE))[own]


def place(url: str) -> str:
    """Return where `url` leads, without password: `MongoDB at host:27017, user millrace`."""
    login, at, hosts = url.partition("://")[2].rpartition("@")  # the last one: careless passwords have some, too
    user = re.split("[:/?]", login)[0]
    return f"MongoDB at {re.split('[/?]', hosts)[0]}" + (f", user {user}" if at else "")


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
