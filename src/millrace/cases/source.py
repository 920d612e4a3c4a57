"""Where case numbers come from: `worldometers`, `disease.sh`, `file:PATH`, or another address of either."""

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from millrace.cases import mirror, page, snapshot
from millrace.cases.rows import Row
from millrace.errors import BadRecord, ConfigError, Unavailable

SOURCES = {
    "worldometers": "https://www.worldometers.info/coronavirus/",
    "disease.sh": "https://disease.sh/v3/covid-19",
}
LARGEST = 16 << 20  # bytes; the page has about 1 MB
TIMEOUT, DEADLINE = 10.0, 30.0  # seconds: without a byte, and for all of it
Load = Callable[[], list[Row]]


def loader(source: str) -> Load:
    """Return what asks `source` for its rows; raises ConfigError where that is none.

    An http(s):// address is the mirror's where its path ends in /v3/covid-19, else the page's; a file is a saved page
    or a snapshot (`snapshot.json` of the package shows its form). Calling it raises Unavailable, and BadRecord where
    what is there has changed.
    """
    url = SOURCES.get(source, source)
    if url.startswith("file:"):
        return lambda: _of_file(Path(url.removeprefix("file:").removeprefix("//")))
    try:
        parts = urlsplit(url)
    except ValueError:  # http://[
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{source!r:.80} is no source of case numbers: {', '.join(SOURCES)}, file:PATH or a URL")
    if "@" in parts.netloc or parts.query or parts.fragment:  # it is stored beside the numbers
        raise ConfigError(
            f"the source at {parts.hostname} is to be without user, query and fragment: they may be secrets"
        )
    if parts.path.rstrip("/").endswith("/v3/covid-19"):
        return lambda: _of_mirror(url.rstrip("/"))
    return lambda: page.read(_get(url).decode(errors="replace"), url)


def _of_mirror(url: str) -> list[Row]:
    world, countries = (_get(f"{url}{path}?{mirror.NULLS}") for path in mirror.PATHS)
    return mirror.read(world, countries, url)


def _of_file(path: Path) -> list[Row]:
    try:
        body = path.read_bytes()
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror}") from None
    url = path.resolve().as_uri()
    is_page = body.lstrip()[:1] == b"<"
    return page.read(body.decode(errors="replace"), url) if is_page else snapshot.read(body, url)


def _get(url: str) -> bytes:
    """Return what is answered with status 200, no redirect; raises Unavailable, and BadRecord where it is too large."""
    end, body = time.monotonic() + DEADLINE, bytearray()
    try:
        with httpx.stream("GET", url, timeout=TIMEOUT, headers={"User-Agent": "millrace"}) as response:
            if response.status_code != httpx.codes.OK:
                raise Unavailable(f"{url} answers with HTTP status {response.status_code}")
            for piece in response.iter_bytes():
                body += piece
                if len(body) > LARGEST:
                    raise BadRecord(f"{url} has changed: it has more than {LARGEST} bytes")
                if time.monotonic() > end:
                    raise Unavailable(f"{url} took longer than {DEADLINE:g} s")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unavailable(f"{url} cannot be read: {error or type(error).__name__}") from None
    return bytes(body)
