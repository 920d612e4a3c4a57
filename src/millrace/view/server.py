"""`millrace view`: Streamlit on the loopback address."""

import importlib.util
import os
import sys
import threading
import time
import webbrowser
from pathlib import Path

import httpx

from millrace.config import Settings
from millrace.errors import ConfigError
from millrace.logs import say

LOOPBACK = "127.0.0.1"
HOSTS = (LOOPBACK, "localhost")  # no other site's name leads here
NEXT = 20  # ports that are tried after the one that was asked for
OPTIONS = {
    "server.address": LOOPBACK,
    "server.headless": "true",  # it neither opens browsers nor asks for an email address
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": "false",
    "browser.serverAddress": LOOPBACK,
    "client.toolbarMode": "viewer",
    "client.showErrorDetails": "none",
    "client.disableDataExport": "true",  # a spreadsheet would run what a hashtag may be
    "logger.hideWelcomeMessage": "true",
}


def serve(settings: Settings, store: str, port: int, *, browser: bool) -> None:
    """Serve the page of `store` until SIGTERM or Ctrl-C; says `ready ADDRESS`, and opens a browser if there is one.

    `port` is free. Raises ConfigError without Streamlit, and where the store is not set.
    """
    settings.store_url(store)
    if not importlib.util.find_spec("streamlit"):
        raise ConfigError("the page needs Streamlit: install millrace[view], as in `uv sync --extra view`")
    from streamlit.web import cli  # noqa: PLC0415 - an extra

    import millrace.view.pages  # noqa: F401, PLC0415 - before the first reader comes, who would wait for it

    url = f"http://{LOOPBACK}:{port}"
    threading.Thread(target=_announce, args=(url, browser and has_browser()), daemon=True).start()
    options = [f"--{name}={value}" for name, value in {**OPTIONS, "server.port": str(port)}.items()]
    options += [f"--server.allowedHosts={host}" for host in HOSTS]
    page = Path(__file__).with_name("page.py")
    cli.main(["run", *options, str(page), "--", store, str(settings.home)], standalone_mode=False)


def has_browser() -> bool:
    """Return whether a window of a browser could be opened here."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _announce(url: str, browser: bool) -> None:
    while not _answers(url):
        time.sleep(0.05)
    say(f"ready {url}")
    if browser:
        webbrowser.open(url)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/_stcore/health", timeout=5).is_success
    except httpx.TransportError:
        return False
