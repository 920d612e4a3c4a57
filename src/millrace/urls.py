"""Whether an address is one that a client could connect to, so that a wrong one is told with the settings."""

from urllib.parse import urlsplit

TOO_HIGH = 65_536  # of ports


def is_url(value: str, *schemes: str, bare: bool = False) -> bool:
    """Return whether a client could connect to `value`: one of `schemes`, a host, and no port or one that exists.

    `bare`: without a user, a password, a query and a fragment, which may be secrets.
    """
    try:
        parts = urlsplit(value)
        known = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        (parts.hostname or "").encode("idna")
    except ValueError:
        return False
    secret = bare and ("@" in parts.netloc or parts.query or parts.fragment)
    return known and not secret and not any(each.isspace() for each in value)


def is_sql(url: str, scheme: str) -> bool:
    """Return whether SQLAlchemy reads `url`, which may hold what others would have to encode."""
    from sqlalchemy import make_url  # noqa: PLC0415 - few commands need it
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        return False
    port = found.port if found.port is not None else 1
    return found.drivername == scheme and 0 < port < TOO_HIGH and not any(map(str.isspace, found.host or ""))


def is_mongodb(url: str) -> bool:
    """Return whether PyMongo reads `url`, whose hosts may be many; of mongodb+srv:// it would ask the name servers."""
    if url.startswith("mongodb+srv://"):
        return is_url(url, "mongodb+srv")
    from pymongo.errors import PyMongoError  # noqa: PLC0415 - few commands need it
    from pymongo.uri_parser import parse_uri  # noqa: PLC0415

    try:
        return bool(parse_uri(url, warn=False)["nodelist"])
    except (PyMongoError, ValueError):
        return False


def is_clickhouse(url: str) -> bool:
    """Return whether `url` is a server of ClickHouse, or a folder as an absolute path: chdb:///FOLDER."""
    if url.startswith("chdb://"):
        return url.startswith("chdb:///") and not any(each in url for each in "?#") and len(url) > len("chdb:///")
    return is_url(url, "http", "https")
