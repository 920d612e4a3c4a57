"""What page and demo of sentiment show: what to run without posts, and shares, posts and reasons with some."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from millrace.demo.views import sentiment as panels
from millrace.demo.views.store import Labels
from millrace.view import pages, sentiment
from millrace.view.stores import Stores

SINCE = "2026-01-01T00:00:00.000Z"
FOUND: dict[str, list[tuple[Any, ...]]] = {
    "counts": [("positive", 3), ("negative", 1), (None, 2)],
    "newest": [("so \x1b[2J\nhappy", "positive", 0.9), ("猫", "neutral", None)],
    "reasons": [("unknown language", 2)],
}


def shown(store: Labels) -> str:
    console = Console(width=110, force_terminal=False)
    with console.capture() as captured:
        console.print(panels.render(store, SINCE, "test", "not yet", 8))
    return captured.get()


def test_shares_are_of_the_posts_with_a_label(tmp_path: Path) -> None:
    store = Labels(tmp_path / "none.json", lambda since, rows: FOUND)
    lines = shown(store).splitlines()
    assert "75%" in next(line for line in lines if "positive" in line)
    assert "0%" in next(line for line in lines if "neutral" in line)
    assert any("neutral" in line and "猫" in line for line in lines)
    assert "\x1b[2J" not in shown(store)
    assert list(panels.lines(store, SINCE)) == [
        ("positive", "3"), ("neutral", "0"), ("negative", "1"), ("without a label: unknown language", "2"),
    ]  # fmt: skip


def test_before_there_is_any_post_it_says_what_it_waits_for(tmp_path: Path) -> None:
    store = Labels(tmp_path / "none.json", lambda since, rows: {name: [] for name in FOUND})
    assert "not yet" in shown(store) and not panels.counted(store, SINCE)
    assert list(panels.lines(store, SINCE)) == []


def test_minutes_without_a_label_have_no_share(monkeypatch: pytest.MonkeyPatch) -> None:
    minutes = pd.to_datetime(["2026-01-01T00:00Z", "2026-01-01T00:01Z"])
    rows = pd.DataFrame({"window_start": minutes, "positive": [3, 0], "neutral": [0, 0], "negative": [1, 0]})
    monkeypatch.setattr(sentiment, "_ask", lambda *_: rows)
    found = sentiment.minutes("chdb:///none", "mastodon")
    assert found["share"].tolist() == [0.75, 0.0, 0.25] and set(found["window_start"]) == {minutes[0]}


def test_without_a_job_no_server_is_started_and_it_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MILLRACE_CLICKHOUSE_URL", raising=False)
    page, stores = next(each for each in pages.KNOWN if each.title == "Sentiment"), Stores("sqlite", tmp_path)
    assert not page.has_rows(stores, frozenset()) and not page.show(stores)
    assert "millrace run sentiment" in page.commands(stores)
    assert not (tmp_path / "data").exists()
