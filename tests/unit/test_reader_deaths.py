"""A reader that dies ends its process loudly, and what cannot be said stops nothing."""

import sys
import threading

import pytest

from millrace.errors import MillraceError, Unavailable
from millrace.ingest.addresses import address
from millrace.ingest.reader import Reader
from millrace.ingest.run import Loop, Options, to_stderr
from millrace.urls import is_url
from tests.unit.test_ingest_run import HOST, T0, Memory, Scripted, carried, event

NO_URLS = ["ws://h:99999", "ws://h:port", "ws://[::1", "ws://", "h:80", "", "ws://h:-1"]


class FullDisk:
    """A stream that cannot be written."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")

    flush = write


@pytest.mark.parametrize("url", NO_URLS)
def test_an_error_can_be_told_of_any_url(url: str) -> None:
    assert isinstance(address(url), str)
    assert not is_url(url, "ws")


@pytest.mark.parametrize("url", ["ws://h", "ws://h:1/p?q=1", "ws://[::1]:80", "ws://müller.example"])
def test_urls_that_can_be_connected_to(url: str) -> None:
    assert is_url(url, "ws")
    assert not is_url(url, "https")


@pytest.mark.parametrize("url", ["ws://a b", "ws://a..b", "ws://h:0", f"ws://{'a' * 64}", "http://h"])
def test_urls_that_nobody_can_connect_to(url: str) -> None:
    assert not is_url(url, "ws")


@pytest.mark.parametrize("url", ["ws://u@h", "ws://u:p@h", "ws://h?token=x", "ws://h#x"])
def test_a_bare_url_holds_no_secret(url: str) -> None:
    assert is_url(url, "ws")
    assert not is_url(url, "ws", bare=True)


def test_an_address_keeps_the_brackets_that_ports_need() -> None:
    assert address("ws://user:hush@[::1]:80/x?token=hush") == "ws://[::1]:80"


@pytest.mark.parametrize("url", NO_URLS)
def test_a_url_that_is_none_is_tried_and_said_but_kills_no_reader(url: str) -> None:
    script = Scripted([None, event("a", 1, T0)], hosts=(url,))
    counts, _ = carried(script, Memory(), limit=1)
    assert counts.events == 1
    _, lines = carried(Scripted([ValueError("Port out of range")], hosts=(url,)), Memory(), seconds=0.3)
    assert any("ValueError" in line for line in lines)


def test_a_reader_that_dies_ends_the_loop_loudly() -> None:
    def say(line: str) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise OSError(28, "No space left on device")

    sink = Memory()
    loop = Loop(Scripted([Unavailable("gone")]).feed, sink, Options(seconds=60), stop=threading.Event(), say=say)
    with pytest.raises(MillraceError, match=r"reader of test has died: OSError at line"):
        loop.run()
    assert sink.closed


def test_one_dead_reader_of_several_ends_the_loop_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def attempt(reader: Reader, host: str) -> str:
        if host == HOST:
            raise RuntimeError("defect")
        reader._stop_asked.wait()
        return ""

    monkeypatch.setattr(Reader, "_attempt", attempt)
    script = Scripted(hosts=(HOST, "ws://two"), at_once=True)
    loop = Loop(script.feed, Memory(), Options(seconds=60), stop=threading.Event(), say=print)
    with pytest.raises(MillraceError, match="RuntimeError at line"):
        loop.run()


def test_a_full_disk_under_stderr_stops_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", FullDisk())
    sink = Memory()
    script = Scripted([Unavailable("gone")], [None, event("a", 1, T0)])
    counts = Loop(script.feed, sink, Options(limit=1), stop=threading.Event(), say=to_stderr).run()
    assert counts.events == len(sink.items) == 1
