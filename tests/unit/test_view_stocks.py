import sqlite3
from contextlib import closing

import pytest
from rich.console import Console

from millrace.demo.views import stocks as tickers
from millrace.demo.views.store import Store
from millrace.sinks.sql import tables

START = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "candles.json", tmp_path / "m.db", "finnhub")


@pytest.fixture
def filled(store):
    tables.create(f"sqlite:///{store.database}")
    minute = lambda n: f"2026-01-01T00:0{n}:00.000Z"  # noqa: E731
    rows = [
        ("A", "1m", minute(0), minute(1), 10, 14, 8, 12, 3, 11, 2, True, 2),
        ("A", "1m", minute(1), minute(2), 12, 20, 12, 15, 1, 15, 1, False, 1),
        ("A", "10s", minute(0), minute(1), 10, 14, 8, 12, 3, 11, 2, True, 2),
        ("A", "10s", minute(1), minute(2), 12, 20, 12, 15, 1, 15, 1, False, 1),
        ("B:C", "1m", minute(0), minute(1), 0.5, 0.5, 0.25, 0.25, 0, None, 0, True, 1),
        ("B:C", "10s", minute(0), minute(1), 0.5, 0.5, 0.25, 0.25, 0, None, 0, True, 1),
        ("OLD", "1m", "2025-01-01T00:00:00.000Z", minute(0), 1, 1, 1, 1, 1, 1, 1, True, 1),
    ]
    with closing(sqlite3.connect(store.database)) as connection, connection:
        connection.executemany(f"INSERT INTO candles VALUES ({', '.join('?' * 13)})", rows)
    return store


def shown(store):
    console = Console(width=150, force_terminal=False)
    with console.capture() as captured:
        console.print(tickers.render(store, START, "test", "not yet", 8))
    return captured.get()


def test_before_anything_is_there_it_says_what_it_waits_for(store):
    assert "not yet" in shown(store)
    assert not tickers.counted(store, START)
    assert list(tickers.lines(store, START)) == []


def test_each_symbol_has_a_line(filled):
    lines = {line.split()[1]: line.split()[2:-1] for line in shown(filled).splitlines() if "▁" in line}
    assert lines == {
        "A": ["15.00", "▲", "50.00%", "8", "20.00", "12.00", "4", "3", "▁█", "1", "incomplete"],
        "B:C": ["0.25", "▼", "50.00%", "0.25", "0.5", "0", "0", "▁"],
    }


def test_the_final_table(filled):
    assert list(tickers.lines(filled, START)) == [
        ("A", "15.00  3 trades, volume 4, between 8 and 20.00"),
        ("B:C", "0.25  0 trades, volume 0, between 0.25 and 0.5"),
    ]


def test_a_line_spans_lowest_to_highest():
    assert tickers.sparkline([1, 8, 4.5]) == "▁█▅"
    assert tickers.sparkline([5, 5]) == "▁▁"


@pytest.mark.parametrize(("value", "text"), [(0.1234, "0.1234"), (950, "950"), (20_671_153, "20.7M"), (1500, "1.5K")])
def test_amounts_are_short(value, text):
    assert tickers.short(value) == text
