"""`millrace demo` in a terminal, and its page beside it: the hashtags that are counted appear on both, and move."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest
from tests.browser.page import visit
from tests.support import alive, family, pid_of, wait

from millrace import config

CELLS = "[...document.querySelectorAll('[data-testid=stDataFrame] td')].map(cell => cell.textContent)"
CLEARED = "\x1b[2J"


class Terminal:
    """`millrace ARGUMENTS` in a terminal of 110 columns, and what it wrote there."""

    def __init__(self, *arguments: str) -> None:
        self.written = ""
        ours, its = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "millrace", *arguments], stdin=its, stdout=its, stderr=its, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "110", "LINES": "40"},
        )  # fmt: skip
        os.close(its)
        self.reader = Thread(target=self._read, args=(ours,))
        self.reader.start()

    def _read(self, ours: int) -> None:
        with open(ours, "rb", buffering=0) as stream:
            try:
                while part := stream.read(65536):
                    self.written += part.decode(errors="replace")
            except OSError:  # the other side is gone
                pass

    def text(self) -> str:
        return self.written


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Terminal]:
    """The demo of Bluesky's double, with a broker of its own."""
    made = Terminal("demo", "--source", "simulator", "--home", str(tmp_path))
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.send_signal(signal.SIGTERM)
        made.process.wait(150)
        made.reader.join()


def test_hashtags_appear_while_they_are_counted(demo: Terminal, browser: Any, tmp_path: Path) -> None:
    wait(lambda: "a page of it: http://" in demo.written, "page", demo, deadline=180)
    url = demo.written.partition("a page of it: ")[2].split()[0]
    browser.get(url)
    visit(browser, "hashtags")
    browser.sees(f"{CELLS}.length", deadline=300)
    browser.execute_script("window.same = true")
    first = browser.sees(CELLS)
    browser.sees(f"{CELLS}.join() !== arguments[0]", ",".join(first), deadline=120)
    tags = first[1::7]
    wait(lambda: any(f"#{tag} " in demo.written for tag in tags), "hashtag in the terminal", demo)
    assert browser.execute_script("return window.same"), "the page was loaded anew"
    visit(browser, "health")
    browser.reads("running", "rows/s")
    assert browser.complaints() == []
    started = [*family(demo.process.pid), psutil.Process(pid_of("kafka", config.load(home=tmp_path)))]
    assert len(started) > 5
    demo.process.send_signal(signal.SIGINT)
    wait(lambda: "stopping: " in demo.written, "answer to Ctrl-C", demo)
    for _ in range(3):  # somebody is impatient
        demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(150) == 0, demo.written[-3000:]
    assert not alive(started)
    assert "counted on simulated Bluesky" in demo.written
    assert CLEARED not in demo.written, "the terminal flickered"
