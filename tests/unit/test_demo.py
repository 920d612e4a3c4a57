"""What the demo tells `millrace run`, and how it reports what was counted and what was not."""

import io
import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from pydantic import SecretStr
from rich.console import Console

from millrace import config, stack
from millrace.applications.registry import JOBS
from millrace.cdc.sides import Count
from millrace.demo import copied, processes
from millrace.demo import run as demo
from millrace.demo.pipelines import ALL, COPY, PIPELINES
from millrace.demo.views import cdc
from millrace.demo.views.store import Sides, Store
from millrace.errors import ConfigError
from millrace.stack import Status
from tests.copying import copy, state

YOURS = "postgresql+psycopg://yours:p@yours/d"
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


def test_what_the_environment_names_is_neither_captured_nor_written_to(settings, monkeypatch):
    """Servers start for the demo's own addresses, whatever others were named."""
    named = {"KAFKA_BOOTSTRAP": "yours:9092", "POSTGRES_URL": YOURS, "CDC_SOURCE_URL": YOURS,
             "CONNECT_URL": "http://yours:8083", "CLICKHOUSE_URL": "http://yours:8123",
             "MONGODB_URL": "mongodb://yours"}  # fmt: skip
    for name, value in named.items():
        monkeypatch.setenv(f"MILLRACE_{name}", value)
    told = []

    def up(names, given):
        told.append(given)
        (settings.home / "servers.env").write_text(
            "MILLRACE_KAFKA_BOOTSTRAP=ours:9092\nMILLRACE_POSTGRES_URL=postgresql+psycopg://u:p@ours/d\n"
            "MILLRACE_CONNECT_URL=http://ours:8083\nMILLRACE_CLICKHOUSE_URL=http://ours:8123\n"
        )

    monkeypatch.setattr(stack, "up", up, raising=False)
    monkeypatch.setattr(stack, "down", lambda *_: None, raising=False)
    with processes.serving(config.load(home=settings.home), COPY.servers) as found:
        assert found.kafka_bootstrap == "ours:9092" and found.connect_url == "http://ours:8083"
        assert found.cdc_source == "postgresql+psycopg://u:p@ours/d" and found.clickhouse == "http://ours:8123"
    for each in (*told, found):
        values = each.model_dump().values()
        assert not [
            value for value in values if value and "yours" in str(getattr(value, "get_secret_value", str)() or value)
        ]


def test_a_kafka_connect_that_was_started_for_another_postgresql_is_left_alone(settings, monkeypatch):
    """Its connector would capture there what the demo makes here."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE,
                          env={"CDC_SOURCE_HOST": "yours"}) as worker:  # fmt: skip
        row = Status("connect", worker.pid, 8083, True, None)
        monkeypatch.setattr(stack, "status", lambda _: [row], raising=False)
        ours = settings.model_copy(update={"cdc_source_url": SecretStr("postgresql+psycopg://u:p@127.0.0.1:1/d")})
        with pytest.raises(ConfigError, match="another PostgreSQL"):
            copied.capture(ours, COPY.tables)


def test_both_sides_are_drawn_and_what_differs_is_marked(tmp_path):
    told = state(copy("public.demo_table1", source=Count(1200), behind=None, changes=None), copy("public.demo_table2"))
    newest = {"public.demo_table1": ({2: "same", 1: None}, {2: "same", 3: "ahead"}), "public.demo_table2": ({}, {})}
    store = Sides(tmp_path / "cdc.json", lambda: (told, newest))
    assert cdc.counted(store, SINCE)
    assert next(iter(cdc.lines(store, SINCE))) == ("public.demo_table1", "1,200 rows in PostgreSQL, 3 in ClickHouse")
    console = Console(record=True, width=104, file=io.StringIO(), force_terminal=True)
    console.print(cdc.render(store, SINCE, "PostgreSQL", "waiting", 10))
    drawn, styled = console.export_text(clear=False), console.export_text(styles=True)
    assert re.search(r"public\.demo_table1 +1,200 +3 +- +- ", drawn), drawn
    assert "NULL" in drawn and "connector running" in drawn
    marked = [line for line in styled.splitlines() if "33m" in line]
    assert len(marked) == 2 and "ahead" in marked[0] and "NULL" in marked[1] and "same" not in "".join(marked)
    waiting = Sides(tmp_path / "cdc.json", lambda: (state(), {}))
    assert not cdc.counted(waiting, SINCE) and list(cdc.lines(waiting, SINCE)) == []
    console.print(cdc.render(waiting, SINCE, "PostgreSQL", "waiting", 10))
    assert "waiting" in console.export_text()


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
