import sqlite3
from contextlib import closing

import pytest
from rich.console import Console

from millrace.demo.views import mastodon as panels
from millrace.demo.views.store import Store

START = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "hashtags.json", tmp_path / "m.db", "mastodon")


@pytest.fixture
def filled(store):
    with closing(sqlite3.connect(store.database)) as connection, connection:
        connection.execute("CREATE TABLE language_counts (source, window_start, language, posts)")
        connection.execute("CREATE TABLE hashtag_counts (source, window_start, hashtag, posts)")
        connection.execute("CREATE TABLE engagement_windows (source, window_start, readings, average_score)")
        connection.execute(
            "CREATE TABLE post_engagement"
            " (source, id, author, engagement_score, replies, reblogs, favourites, observed_at)"
        )
        rows = [(START, "en", 6), ("2025-12-31T23:59:00.000Z", "en", 100), (START, "de", 3)]
        connection.executemany("INSERT INTO language_counts VALUES ('mastodon', ?, ?, ?)", rows)
        connection.execute("INSERT INTO hashtag_counts VALUES ('mastodon', ?, 'ne\x1b[2Jws', 4)", [START])
        connection.executemany(
            "INSERT INTO engagement_windows VALUES ('mastodon', ?, ?, ?)", [(START, 3, 1.0), (START, 1, 9.0)]
        )
        connection.execute("INSERT INTO language_counts VALUES ('bluesky', ?, 'en', 700)", [START])
        connection.execute("INSERT INTO engagement_windows VALUES ('bluesky', ?, 9, 90.0)", [START])
        posts = [("a", "anna", 17.0, 1, 2, 10, START), ("b", "bert", None, None, None, None, START)]
        connection.executemany("INSERT INTO post_engagement VALUES ('mastodon', ?, ?, ?, ?, ?, ?, ?)", posts)
    return store


def shown(store):
    console = Console(width=150, force_terminal=False)
    with console.capture() as captured:
        console.print(panels.render(store, START, "test", "not yet", 8))
    return captured.get()


def test_before_anything_is_there_it_says_what_it_waits_for(store):
    assert "not yet" in shown(store) and "Spark is starting" in shown(store)
    assert not panels.counted(store, START)
    assert list(panels.lines(store, START)) == []


def test_languages_hashtags_and_reactions_since_the_start(filled):
    text = shown(filled)
    assert "█" * panels.SHORT in text and "█" * (panels.SHORT // 2) in text
    assert r"#ne\x1b[2Jws" in text and "\x1b[2J" not in text
    anna = next(line for line in text.splitlines() if "anna" in line)
    assert anna.split()[-6:-1] == ["anna", "17", "1", "2", "10"]
    assert "bert" not in text  # a deleted post has no score
    assert "3.0 on average" in text


def test_the_final_table(filled):
    assert list(panels.lines(filled, START)) == [
        ("language en", "6"),
        ("language de", "3"),
        ("#ne\x1b[2Jws", "4"),
        ("readings of counters", "4"),
        ("average engagement", "3.0"),
    ]
