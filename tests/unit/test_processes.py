"""Processes that are started together: what they say, how they end, and that the end of one is noticed."""

import pytest

from millrace import config
from millrace.demo import processes as running
from millrace.errors import MillraceError


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return config.load(home=tmp_path)


def test_a_process_says_where_it_is_and_ends_with_the_block(settings):
    with running.started(settings, "double", "simulate", "bluesky", "--port", "0") as process:
        assert running.address(settings, "double").startswith("ws://127.0.0.1:")
        running.check([process])
    assert process.returncode == 0


def test_a_process_that_ends_is_noticed_by_its_command(settings):
    with running.started(settings, "wrong", "simulate", "nonsense") as process:
        assert process.wait(60) == 2
        with pytest.raises(MillraceError, match="`millrace simulate nonsense` ended with exit code 2"):
            running.check([process])


def test_one_that_does_not_get_ready_is_named_with_its_log(settings, monkeypatch):
    monkeypatch.setattr(running, "READY_WITHIN", 0.5)
    with pytest.raises(MillraceError, match=r"absent did not start: see .*absent\.log"):
        running.address(settings, "absent")
