"""Connect to Elasticsearch: one client per URL, and errors that say where and what to do.

No message holds a password: errors name host and user, never the URL.
"""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from elastic_transport import TlsError, TransportError
from elasticsearch import ApiError, Elasticsearch, OrjsonSerializer
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from millrace.errors import ConfigError, MillraceError, Unavailable

PORTS = {"http": 80, "https": 443}
TIMEOUT = 30  # seconds for an answer
REFUSED = (401, 403)
AGAIN = (408, 429, 500, 502, 503, 504)  # statuses after which a retry may help


@functools.cache
def connect(url: str) -> Elasticsearch:
    """Return this process's client for `url`, which connects on first use; raises ConfigError for a wrong URL."""
    parsed = _parse(url)
    port = parsed.port or PORTS[parsed.drivername]
    host = f"[{parsed.host}]" if ":" in str(parsed.host) else parsed.host
    node = f"{parsed.drivername}://{host}:{port}/{parsed.database or ''}"
    user = (parsed.username, str(parsed.password or "")) if parsed.username else None
    # The caller retries, so the client itself never does.
    return Elasticsearch(node, basic_auth=user, request_timeout=TIMEOUT, max_retries=0, serializer=OrjsonSerializer())


def place(url: str) -> str:
    """Return where `url` leads, without password: `Elasticsearch at https://host:9200, user millrace`."""
    parsed = _parse(url)
    user = f", user {parsed.username}" if parsed.username else ""
    return f"Elasticsearch at {parsed._replace(username=None, password=None)}{user}"


@contextmanager
def errors(url: str, what: str) -> Iterator[None]:
    """Turn the client's errors into Unavailable where a retry may help, else ConfigError; `what` begins their text."""
    try:
        yield
    except (ApiError, TransportError) as error:
        raise _translate(error, f"{what} in {place(url)}: {' '.join(str(error).split())}") from None


def _translate(error: ApiError | TransportError, text: str) -> MillraceError:
    if isinstance(error, TlsError):
        return ConfigError(f"{text} (check the certificate of the server)")
    if isinstance(error, TransportError):
        return Unavailable(text)
    status = error.meta.status
    if status in REFUSED:
        return ConfigError(f"{text} (check user, password and privileges in MILLRACE_ELASTICSEARCH_URL)")
    return Unavailable(text) if status in AGAIN else ConfigError(text)


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        if parsed.drivername in PORTS and parsed.host:
            return parsed
    except (ArgumentError, ValueError):  # their texts may quote the URL with its password
        pass
    raise ConfigError("not an address of Elasticsearch: expected http://HOST:9200 or https://USER:PASSWORD@HOST:9200")
