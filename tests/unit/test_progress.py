"""What a run file tells between batches."""

import json
from dataclasses import dataclass

import pytest

from millrace.spark.progress import Progress, run_file


@dataclass
class Event:
    """What Spark tells of a query that started, or waits."""

    query: str
    job: str = "hashtags"
    moment: str = ""

    def id(self):
        return self.query

    def name(self):
        return self.job

    def timestamp(self):
        return self.moment


@pytest.fixture
def progress(tmp_path):
    made = Progress("hashtags", tmp_path, "update")
    made.onQueryStarted(Event("a"))
    return made


def told(progress):
    return json.loads(progress.path.read_text())


def test_time_moves_on_while_nothing_arrives(progress):
    assert told(progress)["state"] == "started" and "timestamp" not in told(progress)
    for moment in ("2026-01-01T00:00:10.000Z", "2026-01-01T00:00:20.000Z"):
        progress.onQueryIdle(Event("a", moment=moment))
        assert told(progress) == told(progress) | {"state": "started", "timestamp": moment}


def test_other_queries_are_others_business(progress):
    progress.onQueryIdle(Event("b", moment="2026-01-01T00:00:10.000Z"))
    assert "timestamp" not in told(progress)


class Query:
    """A query whose batch is under way, or not."""

    def __init__(self, active):
        self.status = {"isTriggerActive": active, "message": "Processing new data"}


def test_a_batch_that_takes_long_is_told_of_now_and_then(progress, monkeypatch):
    said = []
    monkeypatch.setattr("millrace.spark.progress.log.warning", lambda text, *values: said.append(text % values))
    clock = iter([10, 20, 20, 24, 36, 36])  # seconds since the last batch ended, at each look
    progress.told = progress.said = 0
    monkeypatch.setattr("millrace.spark.progress.time.monotonic", lambda: next(clock))
    for _ in range(4):
        progress.tell_busy(Query(active=True))
    assert said == [f"the batch at hand has taken {seconds} s so far: Processing new data" for seconds in (20, 36)]
    assert told(progress)["busy_seconds"] == 36


def test_nothing_is_told_of_a_query_that_waits(progress, monkeypatch):
    progress.said = float("-inf")
    progress.tell_busy(Query(active=False))
    assert "busy_seconds" not in told(progress)


def test_a_second_job_of_a_name_has_a_file_of_its_own(tmp_path):
    """The one that is behind would look finished."""
    usual = tmp_path / "candles.json"
    with run_file(usual, "file:///a") as first:
        with run_file(usual, "file:///b") as second:
            second.write_text("{}")
        with run_file(usual, "file:///b") as again, run_file(usual, "file:///c") as third:
            assert len({first, second, third}) == 3 and again == second
    assert first == usual
    with run_file(usual, "file:///b") as alone:  # the first has ended
        assert alone == usual and not second.exists()
