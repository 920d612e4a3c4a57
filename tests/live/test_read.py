"""Waiting for topics that nobody has made yet."""

import logging
import uuid

import pytest

from millrace.config import Settings
from millrace.kafka import read, topics


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger("millrace"), "propagate", True)
    return caplog


def test_a_job_idles_until_its_topics_exist_and_says_so(kafka: Settings, log: pytest.LogCaptureFixture) -> None:
    names = [f"late-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    made = iter([topics.Topic(name, key="id", schema="post.v1") for name in names])
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        topics.create(kafka.kafka_bootstrap, [next(made)], 1)

    read.wait_for_topics(kafka.kafka_bootstrap, names, pause)
    assert len(pauses) == 2
    assert [record.getMessage() for record in log.records if record.name == read.log.name] == [
        f"waiting for topics at {kafka.kafka_bootstrap}: {names[0]}, {names[1]}"
    ]


def test_a_job_that_is_asked_to_stop_waits_no_longer(kafka: Settings, log: pytest.LogCaptureFixture) -> None:
    read.wait_for_topics(kafka.kafka_bootstrap, [f"never-{uuid.uuid4().hex[:8]}"], lambda seconds: True)
    assert len([record for record in log.records if record.name == read.log.name]) == 1
