"""How soon `millrace view` shows the trending hashtags of a million rows, in a browser that starts with nothing."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

from benchmarks import mill
from benchmarks.report import Figure, percentile
from millrace.errors import MillraceError
from millrace.sinks.sql import database, tables
from millrace.sinks.sql import writer as sql
from millrace.stack.server import free_port

NAME = "view"
GOAL = 2.0  # seconds
HASHTAGS = 1_000  # a window
CHUNK = 200_000  # rows a transaction
MINUTE = timedelta(minutes=1)
SHOWN = "return document.querySelector('[data-testid=stDataFrame] td') ? performance.now() : 0"


def measure(rows: int, rounds: int) -> Iterator[Figure]:
    """Yield the seconds from navigation to the first hashtags on the page, over `rows` rows of hashtag_counts."""
    what = f"first hashtags of {rows:,} rows"
    if not shutil.which("chromedriver"):
        yield Figure(NAME, what, float("nan"), "s", note="needs a browser: apt-get install chromium chromium-driver")
        return
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as home:
        fill(f"sqlite:///{home}/millrace.db", rows)
        command = mill.millrace("view", "--port", free_port(), "--no-open", "--home", home)
        with mill.process(command, log := Path(home) / "view.log", {"MILLRACE_SQLITE_URL": ""}):
            url = _ready(log)
            taken = [_first_paint(f"{url}/hashtags") for _ in range(rounds)]
    note = f"worst of {rounds}: {max(taken):.2f} s; SQLite"
    yield Figure(NAME, what, percentile(taken, 0.5), "s", f"< {GOAL:.0f}", max(taken) < GOAL, note)


def fill(url: str, rows: int) -> None:
    """Write so many rows of hashtag_counts, a thousand hashtags a minute, the newest minute now."""
    tables.create(url)
    engine = database.connect(url)
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    for first in range(0, rows, CHUNK):
        numbers = range(first, min(first + CHUNK, rows))
        starts = [now - (number // HASHTAGS) * MINUTE for number in numbers]
        times = pa.timestamp("us", "UTC")
        columns = {
            "source": pa.array(["bluesky"] * len(numbers)),
            "window_start": pa.array(starts, times),
            "window_end": pa.array([start + MINUTE for start in starts], times),
            "hashtag": pa.array([f"hashtag{number % HASHTAGS}" for number in numbers]),
            "posts": pa.array([1 + number * 7919 % 997 for number in numbers], pa.int64()),
        }
        sql.store(engine, tables.hashtag_counts, pa.table(columns))
    engine.dispose()


def _ready(log: Path) -> str:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if "ready " in (said := log.read_text()):
            return said.partition("ready ")[2].split()[0]
        time.sleep(0.05)
    raise MillraceError(f"`millrace view` did not start: {log.read_text()}")


def _first_paint(url: str) -> float:
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for word in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"):
            options.add_argument(word)
        browser = Chrome(options, Service(shutil.which("chromedriver")))
        try:
            browser.get(url)
            return (
                float(WebDriverWait(browser, 60, poll_frequency=0.01).until(lambda it: it.execute_script(SHOWN))) / 1000
            )
        finally:
            browser.quit()
