"""What the demo tells `millrace run`, and how it reports what was counted and what was not."""

import json
import sqlite3
from contextlib import closing

import pytest
from pydantic import SecretStr

from millrace import config
from millrace.applications.registry import JOBS
from millrace.demo import run as demo
from millrace.demo.pipelines import ALL, PIPELINES
from millrace.demo.views.store import Store

SINCE = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return config.load(home=tmp_path)


def test_one_application_runs_the_jobs_of_all():
    assert demo._job(PIPELINES["bluesky"]) == ["hashtags", "--trigger", "1s"]
    first, *line = demo._job(ALL)
    assert first == "several" and line.count("+") == len(ALL) - 1


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_shows_the_progress_of_a_query_that_runs(name):
    first, *line = demo._job(PIPELINES[name])
    names = {part.options.name for part in JOBS[first].parts(None, line)}
    assert {pipeline.run_file for pipeline in PIPELINES[name]} <= names


def test_what_counted_nothing_is_named(settings, capsys):
    database = settings.home / "millrace.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE hashtag_counts (source, window_start, window_end, hashtag, posts)")
        minute = [SINCE, "2026-01-01T00:01:00.000Z"]
        connection.execute("INSERT INTO hashtag_counts VALUES ('bluesky', ?, ?, 'cat', 3)", minute)
    away = SecretStr("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100")
    settings = settings.model_copy(update={"mongodb_url": away})
    shown = [demo.Shown(each, f"simulated {each.service}", demo._store(settings, each), SINCE) for each in ALL]
    assert [demo._report(each, settings) for each in shown] == [0, 1, 1, 1]
    said = capsys.readouterr()
    assert said.out.split() == ["#cat", "3"]
    for each in ("Mastodon", "Finnhub", "tweets"):
        assert f"nothing was counted on simulated {each}" in said.err


def test_a_job_has_read_to_a_moment_when_it_looked_afterwards_and_nothing_was_left(tmp_path):
    store = Store(tmp_path / "hashtags.json", tmp_path / "m.db", "bluesky")
    moment = "2026-01-01T00:00:05.123456"
    for told, read in (
        ({"state": "started"}, False),
        ({"timestamp": "2026-01-01T00:00:04.999Z", "kafka_lag": 0}, False),
        ({"timestamp": "2026-01-01T00:00:06.000Z", "kafka_lag": 7}, False),
        ({"timestamp": "2026-01-01T00:00:06.000Z", "kafka_lag": 0}, True),
        ({"timestamp": "2026-01-01T00:00:06.000Z", "state": "started"}, True),  # there was nothing to read
    ):
        store.run_file.write_text(json.dumps(told))
        assert store.has_read_to(moment) == read
