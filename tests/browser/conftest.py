"""A headless Chromium, Debian's own, and a page of `millrace view` for it."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from sqlalchemy import Engine
from tests import stored, support
from tests.browser.page import View
from tests.support import Child, wait

from millrace.sinks.sql import database, tables
from millrace.stack.server import free_port

NEEDED = "a browser is needed: apt-get install chromium chromium-driver"
WEB = ("http", "https", "ws", "wss")


class Browser(Chrome):
    """A browser that remembers what its pages asked for and complained of."""

    def sees(self, script: str, *values: Any, deadline: float = 30) -> Any:
        """Wait until JavaScript `return ...` is true and return what it is."""
        found: list[Any] = []

        def look() -> bool:
            found[:] = [self.execute_script(f"return {script}", *values)]
            return bool(found[0])

        with suppress(AssertionError):
            wait(look, script, deadline=deadline)
            return found[0]
        pytest.fail(f"not seen within {deadline} s: {script} {values}\n{self.text()[:3000]}")

    def reads(self, *words: str, deadline: float = 30) -> None:
        """Wait until the page says all of the words, in text or in the cells of a grid."""
        for each in words:
            self.sees("document.body.textContent.includes(arguments[0])", each, deadline=deadline)

    def text(self) -> str:
        return str(self.execute_script("return document.body.innerText"))

    def media(self, scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def size(self, width: int, height: int, *, mobile: bool = False) -> None:
        device = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)

    def complaints(self) -> list[str]:
        """Return the errors of the console since the last look."""
        return [line["message"] for line in self.get_log("browser") if line["level"] == "SEVERE"]

    def save(self, name: str) -> None:
        """Save what it shows as $PICTURES/<name>.png, where that is set, for people to look at."""
        if folder := os.environ.get("PICTURES"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.save_screenshot(str(Path(folder, f"{name}.png")))

    def strangers(self) -> set[str | None]:
        """Return the hosts, but the loopback address, that were asked for anything since the last look."""
        messages = [json.loads(line["message"])["message"] for line in self.get_log("performance")]
        sent = [each["params"]["request"] for each in messages if each["method"] == "Network.requestWillBeSent"]
        asked = {url.hostname for url in (urlsplit(each["url"]) for each in sent) if url.scheme in WEB}
        assert "127.0.0.1" in asked, "the log of requests is empty"
        return asked - {"127.0.0.1"}


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """A browser without anybody's settings."""
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if not all(programs):
        pytest.skip(NEEDED)
    options = ChromeOptions()
    options.binary_location = str(programs[0])
    for word in ("--headless=new", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run",
                 "--disable-background-networking", f"--user-data-dir={profile}"):  # fmt: skip
        options.add_argument(word)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # root has none
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    made = Browser(options, Service(str(programs[1])))
    try:
        made.size(1280, 900)
        yield made
    finally:
        made.quit()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A fresh browser."""
    with chromium(tmp_path / "profile") as made:
        yield made


@pytest.fixture(scope="module")
def lasting_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser that the tests of a module share."""
    with chromium(tmp_path_factory.mktemp("browser") / "profile") as made:
        yield made


@pytest.fixture
def picture(browser: Browser) -> Callable[[str], None]:
    """Save what the browser shows, under a name."""
    return browser.save


@pytest.fixture
def view(tmp_path: Path) -> Iterator[View]:
    """A page of a store that is not there yet."""
    server = Child(tmp_path, "view", "--port", str(free_port()), "--home", str(tmp_path), "--no-open")
    try:
        server.says("ready http://")
        yield View(tmp_path, server, server.text().partition("ready ")[2].split()[0])
        assert "Traceback" not in server.text()
    finally:
        server.kill()


@pytest.fixture
def writer(view: View) -> Iterator[Engine]:
    """The store, full of rows, open for writing."""
    tables.create(view.store)
    made = database.connect(view.store)
    stored.fill(made, support.window(support.now()))
    run = view.home / "run"
    run.mkdir(exist_ok=True)
    (run / "candles.json").write_text('{"job": "candles", "input_rows_per_second": 61.4, "kafka_lag": 3}')
    (run / "old.json").write_text('{"job": "old"}')
    os.utime(run / "old.json", (0, 0))
    yield made
    made.dispose()
