"""What of a URL may be shown and stored: paths and queries hold tokens, and a user may have a password."""

from urllib.parse import urlsplit


def address(url: str) -> str:
    """Return scheme and host of `url`, the part that may be shown; never raises, for errors are told with it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "?", parts.port
    except ValueError:
        return "(no URL)"
    return f"{parts.scheme}://" + (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")


def is_at(stored: str, host: str) -> bool:
    """Return whether `stored`, the host of a cursor, is the URL `host`: what is stored is its address alone."""
    return stored in (host, address(host))
