"""Check whether a live service can be read, for the demo and the doctor: each returns why not, "" if it can."""

import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx
import websocket
from pydantic import SecretStr

PATIENCE = 4.0  # seconds that a service may take to answer
REFUSED = (401, 403, 422)


def jetstream(hosts: Sequence[str]) -> str:
    """Return why none of Jetstream's first two `hosts` (ws:// or wss:// URLs) accepts a connection, else ""."""
    reason = "no host"
    for host in hosts[:2]:
        url = host.strip().rstrip("/")
        try:
            address = url if url.count("/") > 2 else url + "/subscribe"
            websocket.create_connection(address, timeout=PATIENCE, redirect_limit=0).close()
            return ""
        except (OSError, websocket.WebSocketException) as error:
            reason = type(error).__name__ if not str(error) else str(error).splitlines()[0]
    return reason


def listener(url: str) -> str:
    """Return why nobody listens at `url` (ws:// or wss://), "" if somebody does.

    It does not ask for a WebSocket: a generator's first reader takes what later ones never see.
    """
    parts = urlsplit(url.strip())
    try:
        port = parts.port or (443 if parts.scheme == "wss" else 80)
        socket.create_connection((parts.hostname or "", port), PATIENCE).close()
    except (OSError, ValueError) as error:
        return str(error) or type(error).__name__
    return ""


def instance(url: str, token: SecretStr | None = None) -> str:
    """Return why the Mastodon instance at `url` (https://) does not give its public timeline, "" if it does."""
    headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
    try:
        address = f"{url.strip().rstrip('/')}/api/v1/timelines/public"
        answer = httpx.get(address, params={"limit": 1}, headers=headers, timeout=PATIENCE)
    except httpx.HTTPError as error:
        return type(error).__name__
    if answer.status_code in REFUSED:
        return "the access token is not accepted" if token else "its public timeline needs an access token"
    if answer.status_code != httpx.codes.OK:
        return f"HTTP status {answer.status_code}"
    return "" if answer.content.strip() not in (b"", b"[]") else "its public timeline is empty"
