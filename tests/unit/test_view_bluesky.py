import json
import sqlite3

import pytest
from rich.console import Console

from millrace.demo.views.bluesky import render
from millrace.demo.views.store import Store
from millrace.demo.views.widgets import BAR, bar


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "hashtags.json", tmp_path / "m.db", "bluesky")


def shown(store, since="2026"):
    console = Console(width=110, record=True, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(render(store, since, "test", "not yet", 8))
    return captured.get()


def test_before_anything_is_there_it_says_what_it_waits_for(store):
    assert "not yet" in shown(store) and "Spark is starting" in shown(store)


def test_top_hashtags_with_bars_change_and_health(store):
    with sqlite3.connect(store.database) as connection:
        connection.execute("CREATE TABLE hashtag_counts (source, window_start, window_end, hashtag, posts)")
        minutes = ["2026-01-01T00:00:00.000Z", "2026-01-01T00:01:00.000Z", "2026-01-01T00:02:00.000Z"]
        rows = [
            (minutes[0], minutes[1], "cat", 5),
            (minutes[1], minutes[2], "cat", 8),
            (minutes[2], "2026-01-01T00:03:00.000Z", "cat", 1),
            (minutes[1], minutes[2], "do\x1b[2Jg", 2),
            (minutes[1], "2026-01-01T00:11:00.000Z", "cat", 99),  # of a job with --window 10m --slide 1m
            ("2026-01-01T00:02:10.000Z", "2026-01-01T00:03:10.000Z", "cat", 98),  # and of one with --slide 10s
        ]
        connection.executemany("INSERT INTO hashtag_counts VALUES ('bluesky', ?, ?, ?, ?)", rows)
        connection.execute(
            "INSERT INTO hashtag_counts"
            " VALUES ('mastodon', '2026-01-01T00:03:00.000Z', '2026-01-01T00:04:00.000Z', 'cat', 700)"
        )
    connection.close()
    store.run_file.write_text(json.dumps({"batch_id": 1, "batch_seconds": 0.5, "late_rows": 1, "bad_records": 2,
                                          "records": 1234, "kafka_lag": 7, "input_rows_per_second": 9.0}))  # fmt: skip
    text = shown(store)
    cat = next(line for line in text.splitlines() if "#cat" in line).split()
    assert cat[1:] == ["1", "#cat", "14", "█" * BAR, "8", "▲", "3", "│"]
    assert r"#do\x1b[2Jg" in text and "\x1b[2J" not in text
    assert "lag 7" in text and "late 1" in text and "bad 2" in text and "1,234 records" in text


@pytest.mark.parametrize(("share", "drawn"), [(1, "█" * BAR), (0.5, "█" * (BAR // 2)), (0, "▏"), (1 / BAR / 2, "▌")])
def test_bars_are_drawn_to_an_eighth(share, drawn):
    assert bar(share) == drawn
