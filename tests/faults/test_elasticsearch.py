"""Elasticsearch that goes away and drivers that are killed: in the end its indices equal the truth."""

import json
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from elasticsearch.helpers import scan
from tests.faults.test_outages import committed, stopped
from tests.faults.test_recovery import RUNNING, wait_for_random_moment
from tests.social import Story, moment
from tests.support import Job, new_topic, now, pid_of, wait, window
from tests.telling import telling

from millrace import stack
from millrace.config import Settings
from millrace.sinks.elasticsearch import cluster
from millrace.sinks.elasticsearch.indices import INDICES

SINK = ("--sink", "elasticsearch", *RUNNING)

pytestmark = (
    pytest.mark.faults
)  # that the sink is exact while its server is away or its writer killed is in its contract


@pytest.fixture
def story() -> Story:
    return Story(start=window(now()) - timedelta(minutes=9), count=2000, gap=0.2, seed=51)


@pytest.fixture
def client(elasticsearch: Settings) -> Elasticsearch:
    """The client of an Elasticsearch without indices."""
    client = cluster.connect(elasticsearch.store_url("elasticsearch"))
    client.indices.delete(index=[*INDICES], ignore_unavailable=True)
    return client


def sent(story: Story) -> Iterator[dict[str, Any]]:
    for event in story.events:
        at = round(moment(event).timestamp() * 1000)
        yield {"key": event["id"].encode(), "value": json.dumps(event).encode(), "timestamp_ms": at}


def indexed(client: Elasticsearch) -> tuple[dict[str, Any], dict[datetime, Any]]:
    """Return the score of each post, and readings, average and maximum of each window."""
    names = ["mastodon-engagement", "engagement-windows"]
    client.indices.refresh(index=names)
    posts, windows = ([hit["_source"] for hit in scan(client, index=name)] for name in names)
    return {row["id"]: row["engagement_score"] for row in posts}, {
        datetime.fromisoformat(row["window_start"]): (row["readings"], row["average_score"], row["max_score"])
        for row in windows
    }


def right(client: Elasticsearch, story: Story) -> bool:
    scores, windows = indexed(client)
    told = {start: (n, pytest.approx(mean), most) for start, (n, mean, most) in story.windows().items()}
    return scores == story.scores() and windows == told


@contextmanager
def killed(settings: Settings) -> Iterator[None]:
    """Take the server away as a power cut does, and bring it back."""
    os.kill(pid_of("elasticsearch", settings), signal.SIGKILL)
    try:
        yield
    finally:
        stack.up(["elasticsearch"], settings)


@contextmanager
def hanging(settings: Settings) -> Iterator[None]:
    with stopped(pid_of("elasticsearch", settings)):
        yield


@pytest.mark.parametrize("outage", [killed, hanging])
@pytest.mark.parametrize("seconds", [10, 60])
def test_elasticsearch_is_away(
    *,
    outage: Callable[..., Any],
    seconds: int,
    kafka: Settings,
    elasticsearch: Settings,
    client: Elasticsearch,
    story: Story,
    tmp_path: Path,
    begin: Callable[..., Any],
) -> None:
    topic = new_topic(kafka.kafka_bootstrap)
    with telling(kafka, topic, sent(story)) as finish:
        job = begin(Job, "engagement", elasticsearch, tmp_path, *SINK, "--topic", topic)
        job.has_read(300)
        with outage(elasticsearch):
            threading.Event().wait(1)  # what was under way may still be noted
            before, size = committed(tmp_path), job.memory()
            threading.Event().wait(seconds)  # the outage itself
            assert committed(tmp_path) == before
            assert job.process.poll() is None
            assert job.memory() - size < 200 << 20
        finish()
    wait(lambda: right(client, story), "right index", job, 120)
    assert job.stop() == 0, job.text()


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_the_driver_is_killed_while_it_writes(
    *,
    seed: int,
    kafka: Settings,
    elasticsearch: Settings,
    client: Elasticsearch,
    story: Story,
    tmp_path: Path,
    begin: Callable[..., Any],
) -> None:
    draw = random.Random(seed)
    topic = new_topic(kafka.kafka_bootstrap)
    with telling(kafka, topic, sent(story)) as finish:
        for _ in range(2):
            job = begin(Job, "engagement", elasticsearch, tmp_path, *SINK, "--topic", topic)
            job.has_read(draw.randint(1, 600))
            wait_for_random_moment(draw)
            job.kill()
        finish()
    job = begin(Job, "engagement", elasticsearch, tmp_path, *SINK, "--topic", topic)
    wait(lambda: right(client, story), "right index", job, 120)
    assert job.stop() == 0, job.text()
    assert right(client, story)


def test_a_job_ends_in_time_while_elasticsearch_is_away(
    *,
    kafka: Settings,
    elasticsearch: Settings,
    client: Elasticsearch,
    story: Story,
    tmp_path: Path,
    begin: Callable[..., Any],
) -> None:
    """SIGTERM is not kept waiting by the store; the next start brings what was left."""
    topic = new_topic(kafka.kafka_bootstrap)
    with telling(kafka, topic, sent(story)) as finish:
        job = begin(Job, "engagement", elasticsearch, tmp_path, *SINK, "--topic", topic)
        job.has_read(300)
        with killed(elasticsearch):
            job.says("trying again in")
            job.stop(deadline=30)
        finish()
    again = begin(Job, "engagement", elasticsearch, tmp_path, *SINK, "--topic", topic)
    wait(lambda: right(client, story), "right index", again, 120)
    assert again.stop() == 0, again.text()
