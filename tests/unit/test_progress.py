"""What a run file tells between batches."""

import json
from dataclasses import dataclass

import pytest

from millrace.progress import Progress


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
