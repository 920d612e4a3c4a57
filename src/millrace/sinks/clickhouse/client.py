"""Connect to ClickHouse: one client per process and address, and errors that say where and what to do.

No message holds a password: errors name host, database and user, never the URL.
"""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError

from millrace import embedded
from millrace.errors import ConfigError, MillraceError, Unavailable

EXAMPLE = "http://USER:PASSWORD@HOST:8123/DATABASE, https://USER:PASSWORD@HOST:8443/DATABASE or chdb:///FOLDER"
EMBEDDED = "chdb"
DATABASE = "default"  # where the URL names none
FIND = 10  # seconds to reach a server
SILENCE = 120  # seconds for an answer
PARAMETERS = re.compile(r"/\?\S+")  # of a URL: long, and of no use to who reads an error
REFUSED = {192, 193, 194, 497, 516}  # unknown user, wrong or missing password, access denied, authentication failed
AGAIN = {  # ClickHouse's numbers for what may pass: time-outs, limits of the moment, replicas and keepers away
    *(159, 160, 201, 202, 203, 209, 210, 225, 236, 241, 242, 243, 252, 254, 279, 285, 286, 319, 341, 364, 373, 394),
    *(415, 425, 439, 473, 499, 519, 574, 625, 689, 722, 745, 999),
}

logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)  # it tells what it raises, too


def connect(url: str) -> Client:
    """Return this process's client for `url`, which many threads may use; of chdb:// the server is started if need be.

    Raises what `errors` does when the server is away or refuses. Call it anew for each attempt: an embedded server may
    be another by then. The client itself never repeats a write, and waits until what it sent is a part of the table.
    """
    address = embedded.url(folder(url)) if is_embedded(url) else url
    with errors(url, "connection"):
        return _client(address, os.getpid())


@lru_cache(maxsize=16)
def _client(address: str, _: int) -> Client:
    """The second argument is the process: connections do not survive a fork."""
    local = urlsplit(address).hostname in ("127.0.0.1", "localhost", "::1")
    try:
        return clickhouse_connect.get_client(
            dsn=address,
            client_name="millrace",
            connect_timeout=FIND,
            send_receive_timeout=SILENCE,
            compress=False if local else "lz4",
            query_retries=0,
            autogenerate_session_id=False,  # one question at a time would be all that a session allows
            settings={"async_insert": 0},
        )
    except (TypeError, ValueError) as error:
        told = "what is behind ? may be a part of the password" if "@" in urlsplit(address).query else str(error)
        raise ConfigError(f"{place(address)}: {told}; expected {EXAMPLE}") from None


def is_embedded(url: str) -> bool:
    """Return whether `url` is a folder whose server millrace starts."""
    return url.startswith(f"{EMBEDDED}://")


def folder(url: str) -> Path:
    """Return the folder of a chdb:// URL."""
    return Path(unquote(urlsplit(url).path))


def place(url: str) -> str:
    """Return where `url` leads, without password: `ClickHouse at host:8123, database default, user millrace`."""
    if is_embedded(url):
        return f"ClickHouse in {folder(url)}"
    login, at, rest = url.partition("://")[2].rpartition("@")  # the last one: careless passwords have some, too
    host, _, path = rest.partition("?")[0].partition("/")
    return f"ClickHouse at {host}, database {unquote(path) or DATABASE}" + (
        f", user {login.split(':')[0]}" if at else ""
    )


@contextmanager
def errors(url: str, what: str) -> Iterator[None]:
    """Turn the client's errors into Unavailable where a retry may help, else ConfigError; `what` begins their text."""
    try:
        yield
    except ClickHouseError as error:
        text = PARAMETERS.sub("/", " ".join(str(error).split()))
        raise _translate(error, f"{what} in {place(url)}: {text[:500]}") from None


def _translate(error: ClickHouseError, text: str) -> MillraceError:
    code = getattr(error, "code", None)
    if code in REFUSED:
        return ConfigError(f"{text} (check user, password and grants in MILLRACE_CLICKHOUSE_URL)")
    if code in AGAIN or (code is None and _is_of_the_way(error)):
        return Unavailable(text)
    return ConfigError(text)


def _is_of_the_way(error: ClickHouseError) -> bool:
    """Return whether what failed is the connection, or something on the way that answers instead of the server."""
    return isinstance(error, OperationalError) or (type(error) is DatabaseError and "HTTP status" in str(error))
