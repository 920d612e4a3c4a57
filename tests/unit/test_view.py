"""What the page shows, from SQLite: the views' own numbers, from the newest windows alone, through the indexes."""

import json
import math
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine, event, text

from millrace.errors import ConfigError
from millrace.sinks.sql import database, tables
from millrace.view import bounds, charts, health, market, others, pages, social
from millrace.view.stores import Stores
from millrace.view.text import number, plain
from tests import stored
from tests.stored import MINUTE

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path / 'm.db'}"
    tables.create(address)
    return address


@pytest.fixture
def writer(url: str) -> Iterator[Engine]:
    made = database.connect(url)
    yield made
    made.dispose()


@pytest.fixture
def store(url: str) -> Iterator[Engine]:
    made = database.reader(url)
    yield made
    made.dispose()


def everything(store: Engine) -> dict[str, Any]:
    """All that pages read."""
    return {
        "sources": bounds.different(store, tables.hashtag_counts.c.source),
        "lengths": bounds.lengths(store, tables.hashtag_counts, "bluesky"),
        "hashtags": social.hashtags(store, "bluesky", MINUTE),
        "languages": social.shares(store, tables.language_counts, "language", "mastodon", MINUTE),
        "authors": social.shares(store, tables.author_counts, "author", "mastodon", MINUTE),
        "rate": social.rate(store, "mastodon", MINUTE / 6),
        "minutes": social.minutes(store, "bluesky"),
        "engagement": social.engagement(store, "mastodon", MINUTE),
        "reactions": social.reactions(store),
        "symbols": market.symbols(store),
        "resolutions": market.resolutions(store, "AAPL"),
        "candles": market.candles(store, "AAPL", "1m"),
        "ages": health.ages(store, set(tables.metadata.tables)),
    }


def test_an_empty_store_has_nothing_and_no_errors(store: Engine) -> None:
    assert all(len(found) == 0 for found in everything(store).values())


def test_hashtags_are_those_of_the_view(writer: Engine, store: Engine) -> None:
    stored.fill(writer, NOON)
    found = social.hashtags(store, "bluesky", MINUTE)
    full = NOON - MINUTE  # the newest is still filling
    view = text("SELECT hashtag, posts, previous, change, share, rank FROM trending_hashtags "
                "WHERE source = 'bluesky' AND window_start = :full ORDER BY rank, hashtag")  # fmt: skip
    with store.connect() as connection:
        expected = connection.execute(view, {"full": "2026-11-22T11:59:00.000Z"}).all()
    assert found[["hashtag", "posts", "previous", "change", "share", "rank"]].values.tolist() == [
        list(row) for row in expected
    ]
    assert set(found["window_start"]) == {full}
    histories = dict(zip(found["hashtag"], found["history"], strict=True))
    assert {len(history) for history in histories.values()} == {social.WINDOWS}
    cat = [1 + (7 * n) % 11 for n in range(social.WINDOWS + 1)]
    assert histories["cat"] == cat[:0:-1]
    assert found.set_index("hashtag")["filling"]["cat"] == cat[0]


def test_a_hashtag_that_was_away_has_zeros(writer: Engine, store: Engine) -> None:
    for n, tag in enumerate(("b", "a", "b", "b")):
        stored.put(writer, "hashtag_counts", stored.window("bluesky", NOON - n * MINUTE) | {"hashtag": tag, "posts": n})
    [row] = social.hashtags(store, "bluesky", MINUTE).itertuples()
    assert (row.hashtag, row.posts, row.previous, row.filling, row.history) == ("a", 1, 0, 0, [0, 0, 1])


def test_windows_of_other_lengths_and_sources_are_apart(writer: Engine, store: Engine) -> None:
    stored.fill(writer, NOON)
    slow = stored.window("bluesky", NOON - 5 * MINUTE, 5 * MINUTE) | {"hashtag": "slow", "posts": 99}
    stored.put(writer, "hashtag_counts", slow)
    assert bounds.different(store, tables.hashtag_counts.c.source) == ["bluesky", "mastodon"]
    assert bounds.lengths(store, tables.hashtag_counts, "bluesky") == [MINUTE, 5 * MINUTE]
    assert "slow" not in set(social.hashtags(store, "bluesky", MINUTE)["hashtag"])
    assert list(social.hashtags(store, "bluesky", 5 * MINUTE)["posts"]) == [99]


def test_shares_are_of_the_last_hour(writer: Engine, store: Engine) -> None:
    rows = [(NOON, "en", 6), (NOON - 59 * MINUTE, "de", 2), (NOON - 60 * MINUTE, "fr", 50)]
    for start, language, posts in rows:
        stored.put(writer, "language_counts", stored.window("x", start) | {"language": language, "posts": posts})
    found = social.shares(store, tables.language_counts, "language", "x", MINUTE)
    assert found.values.tolist() == [["en", 6, 0.75], ["de", 2, 0.25]]


def test_a_rate_is_of_a_minute_whatever_the_window(writer: Engine, store: Engine) -> None:
    lengths = (MINUTE / 6, 2 * MINUTE)
    stored.put(writer, "post_counts", *(
        stored.window("x", NOON + n * length, length) | {"posts": 7 + n} for n in range(2) for length in lengths
    ))  # fmt: skip
    assert [list(social.rate(store, "x", length)["posts"]) for length in lengths] == [[42.0], [3.5]]


@pytest.fixture
def slid(writer: Engine) -> Engine:
    """Ten posts a minute from 11:30 to a minute after noon, in windows of ten minutes that slide by one."""
    for n in range(-39, 2):
        start = NOON + n * MINUTE
        seen = 10 * (min(NOON + 2 * MINUTE, start + 10 * MINUTE) - max(NOON - 30 * MINUTE, start)) // MINUTE
        window = stored.window("x", start, 10 * MINUTE)
        stored.put(writer, "hashtag_counts", window | {"hashtag": "cat", "posts": seen})
        stored.put(writer, "post_counts", window | {"posts": seen})
        stored.put(writer, "engagement_windows", window | {"readings": seen, "average_score": 1.0, "max_score": 2.0})
    return writer


@pytest.mark.usefixtures("slid")
def test_of_windows_that_slide_the_newest_full_one_is_that_which_ended_last(store: Engine) -> None:
    [row] = social.hashtags(store, "x", 10 * MINUTE).itertuples()
    assert (row.window_end, row.posts, row.previous, row.is_full) == (NOON + MINUTE, 100, 100, True)
    assert row.filling == 100 and len(row.history) == social.WINDOWS and set(row.history[-20:]) == {100}
    rate, scores = social.rate(store, "x", 10 * MINUTE), social.engagement(store, "x", 10 * MINUTE)
    assert rate["window_end"].max() == scores["window_end"].max() == NOON + MINUTE
    assert set(rate["posts"].tail(20)) == {10.0}


@pytest.mark.usefixtures("slid")
def test_a_view_says_which_windows_are_full(store: Engine) -> None:
    query = text("SELECT MAX(window_end), COUNT(*) FROM trending_hashtags WHERE is_full")
    with store.connect() as connection:
        assert connection.execute(query).one() == ("2026-11-22T12:01:00.000Z", 31)


def test_a_window_of_another_length_or_source_fills_none(writer: Engine, store: Engine) -> None:
    """A job that is ahead of another says nothing of the other's windows."""
    rows = [stored.window("x", NOON, 10 * MINUTE), stored.window("x", NOON + 20 * MINUTE, MINUTE),
            stored.window("y", NOON + 20 * MINUTE, 10 * MINUTE)]  # fmt: skip
    stored.put(writer, "hashtag_counts", *(row | {"hashtag": "cat", "posts": 1} for row in rows))
    with store.connect() as connection:
        assert connection.scalar(text("SELECT SUM(is_full) FROM trending_hashtags")) == 0


def test_before_any_window_is_full_that_which_will_be_is_ranked(writer: Engine, store: Engine) -> None:
    for n in range(3):
        window = stored.window("x", NOON + n * MINUTE, 10 * MINUTE)
        stored.put(writer, "hashtag_counts", window | {"hashtag": "cat", "posts": 9 - n})
        stored.put(writer, "post_counts", window | {"posts": 1})
    [row] = social.hashtags(store, "x", 10 * MINUTE).itertuples()
    assert (row.window_start, row.posts, row.filling, row.history, row.is_full) == (NOON, 9, 9, [], False)
    assert social.rate(store, "x", 10 * MINUTE).empty


def test_minutes_have_their_top_hashtag(writer: Engine, store: Engine) -> None:
    stored.fill(writer, NOON, count=90)
    found = social.minutes(store, "bluesky")
    with store.connect() as connection:
        view = connection.execute(text("SELECT top_hashtag FROM minute_dashboard ORDER BY window_start DESC")).all()
    assert len(found) == 60 and list(found["top_hashtag"]) == [tag for (tag,) in view[:60]]
    assert list(found["is_full"]) == [False] + [True] * 59


def test_candles_are_the_newest_oldest_first(writer: Engine, store: Engine) -> None:
    stored.fill(writer, NOON, count=market.CANDLES + 5)
    found = market.candles(store, "AAPL", "1m")
    assert len(found) == market.CANDLES and found["window_start"].is_monotonic_increasing
    assert found["window_start"].iloc[-1] == NOON
    last = market.drawn(found).iloc[-1]
    assert last["left"] < last["middle"] < last["right"] < NOON + MINUTE
    assert last["body_low"] == min(last["open"], last["close"]) and last["up"] == (last["close"] >= last["open"])


def test_no_query_reads_a_whole_table_of_facts(writer: Engine, store: Engine) -> None:
    """SQLite tells how it goes about each statement: a fact is searched, never scanned."""
    stored.fill(writer, NOON)
    plans: list[str] = []

    @event.listens_for(store, "before_cursor_execute")
    def _(connection: Any, cursor: Any, statement: str, values: Any, *_rest: Any) -> None:
        steps = cursor.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
        plans.extend(f"{step[3]} IN {statement}" for step in steps)

    everything(store)
    facts = {name for name, table in tables.metadata.tables.items() if "window_start" in table.c} | {"post_engagement"}
    searched = {name for name in facts if any(plan.startswith(f"SEARCH {name} ") for plan in plans)}
    assert searched == facts
    assert [plan for plan in plans if any(plan.startswith(f"SCAN {name} ") for name in facts)] == []


def test_a_reader_cannot_write(store: Engine) -> None:
    with pytest.raises(ConfigError, match="readonly"), database.errors(store.url), store.begin() as connection:
        connection.execute(tables.gaps.delete())


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not there yet"):
        database.reader(f"sqlite:///{tmp_path / 'none.db'}")
    assert not list(tmp_path.iterdir())


def test_a_new_file_under_the_old_name_is_seen(url: str, writer: Engine, store: Engine) -> None:
    stored.fill(writer, NOON)
    assert market.symbols(store)
    writer.dispose()
    for file in Path(url.removeprefix("sqlite:///")).parent.iterdir():
        file.unlink()
    tables.create(url)
    assert market.symbols(store) == []


def test_tables_of_others_are_shown_as_they_are(writer: Engine, store: Engine) -> None:
    with writer.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE sentiment (id TEXT PRIMARY KEY, label TEXT)")
        connection.exec_driver_sql('CREATE TABLE "x\'); DROP" (id TEXT)')
        connection.exec_driver_sql("INSERT INTO sentiment VALUES ('a', '<b>good</b>')")
    assert others.names(others.tables(store)) == ["sentiment"]
    assert others.rows(store, "sentiment").values.tolist() == [["a", "<b>good</b>"]]


def test_jobs_tell_how_they_are(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    told = {"job": "hashtags", "input_rows_per_second": 12.5, "kafka_lag": 3, "late_rows": 1, "bad_records": 2}
    (run / "hashtags.json").write_text(json.dumps(told))
    (run / "old.json").write_text(json.dumps({"job": "old"}))
    (run / "torn.json").write_text("{")
    (run / "kafka.pid").write_text("1")
    os.utime(run / "old.json", (1000, 1000))
    os.utime(run / "hashtags.json", (8000, 8000))
    found = health.jobs(tmp_path, now=8010).set_index("job")
    assert list(found.index) == ["hashtags", "old"]
    assert found.loc["hashtags", ["state", "rows/s", "lag", "late", "bad"]].tolist() == ["running", 12.5, 3, 1, 2]
    assert found.loc["old", "state"] == "silent for 117 min"
    assert health.jobs(tmp_path / "none").empty


@pytest.mark.parametrize(
    ("seconds", "said"), [(5, "5 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (2e6, "23 d")]
)
def test_spans(seconds: float, said: str) -> None:
    assert health.span(seconds) == said


def test_plain_text_has_no_markup() -> None:
    assert plain("a\n:smile: <b>") == r"a \:smile\: \<b\>"
    assert plain("café 猫 12") == "café 猫 12"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1029010.0, "1,029,010"), (67012.2, "67,012.20"), (232.7, "232.70"), (1.08123456, "1.08123"),
     (0.0000012, "0.0000012"), (0.0, "0"), (-0.5, "-0.5"), (12.5, "12.5")],
)  # fmt: skip
def test_numbers_have_no_exponent(value: float, shown: str) -> None:
    assert number(value) == shown


# What eyes without red, green or blue cones make of linear light (Machado, Oliveira and Fernandes 2009, severity 1).
BLIND = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def seen(color: str, blind: str) -> list[float]:
    """Return the parts of a colour (0 to 255) as such eyes see it."""
    parts = [int(color[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    mixed = [sum(a * b for a, b in zip(row, linear, strict=True)) for row in BLIND[blind]]
    return [255 * max(0.0, min(1.0, part)) ** (1 / 2.2) for part in mixed]


@pytest.mark.parametrize("blind", BLIND)
def test_colours_of_rise_and_fall_differ_to_all_eyes(blind: str) -> None:
    assert math.dist(seen(charts.RISE, blind), seen(charts.FALL, blind)) > 100
    if blind != "tritanopia":
        assert math.dist(seen("#cc3300", blind), seen("#558800", blind)) < 100  # red and green would not do


def test_ages_are_of_the_newest_window(writer: Engine, store: Engine) -> None:
    stored.fill(writer, NOON)
    found = health.ages(store, set(tables.metadata.tables))
    assert set(found.values()) == {NOON} and "candles" in found and "gaps" not in found
    assert isinstance(health.gaps(store), pd.DataFrame)
    assert health.gaps(store)["gap_end"].tolist() == [NOON]
    assert health.progress(store)["watermark"].tolist() == [NOON - timedelta(minutes=10)]


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: page.title)
def test_the_commands_that_fill_a_page_fill_its_store(page: pages.Page) -> None:
    feed, job = page.commands(Stores("mysql", Path())).splitlines()
    assert feed.split()[:2] == ["millrace", "ingest"]
    assert job.split()[:2] == ["millrace", "run"] and job.split()[-2:] == ["--sink", "mysql"]
    assert (Path(__file__).parents[2] / "jobs" / f"{job.split()[2]}.py").exists()
