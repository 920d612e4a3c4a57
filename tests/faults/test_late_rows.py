"""Event times that lie: late, dated in the future, dated 1970."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kafka.errors import KafkaError
from pyspark.sql import SparkSession
from tests.support import Posts, new_topic, now, post, run_job, send, sqlite, stored, window

from millrace.config import Settings

BATCH = 40  # records of each micro-batch


def run(settings: Settings, topic: str, home: Path) -> dict:
    shared = ["--once", "--bootstrap", settings.kafka_bootstrap, "--home", str(home)]
    run_job("hashtags", *shared, "--topic", topic, "--max-offsets", str(BATCH))
    return json.loads((home / "run" / "hashtags.json").read_text())


def test_late_posts_leave_closed_windows_unchanged(kafka: Settings, spark: SparkSession, tmp_path: Path) -> None:
    """The late ones come two committed batches after the watermark passed them; before that, Spark may take them."""
    topic = new_topic(kafka.kafka_bootstrap, partitions=1)
    start = window(now()) - timedelta(hours=2)
    posts = Posts(start)
    batches = [posts.take(BATCH)]
    for minutes in (30, 31):
        posts.start = start + timedelta(minutes=minutes)
        batches.append(posts.take(BATCH))
    late = [posts.one(start + timedelta(seconds=1), counted=False) for _ in range(BATCH)]
    within = [posts.one(posts.start - timedelta(minutes=8)) for _ in range(BATCH)]
    for batch in (*batches, late, within):
        send(kafka.kafka_bootstrap, topic, batch)
    state = run(kafka, topic, tmp_path)
    assert stored(sqlite(tmp_path)) == posts.right
    assert state["records"] == 5 * BATCH
    assert state["late_rows"] > 0


def test_a_post_dated_in_the_future_is_refused(kafka: Settings) -> None:
    topic = new_topic(kafka.kafka_bootstrap)
    for moment in (now() + timedelta(minutes=7), datetime(2036, 1, 1, tzinfo=UTC)):
        with pytest.raises(KafkaError, match=r"(?i)timestamp"):
            send(kafka.kafka_bootstrap, topic, [(post("x", moment, ["cat"]), round(moment.timestamp() * 1000))])


def test_the_watermark_stays_below_the_clock(kafka: Settings, spark: SparkSession, tmp_path: Path) -> None:
    """Milliseconds given as seconds come out as 1970: they are old, and hold nothing up."""
    topic = new_topic(kafka.kafka_bootstrap, partitions=1)
    posts = Posts(window(now()) - timedelta(minutes=3))
    old = [(post("old", posts.start, ["cat"]), round(now().timestamp())) for _ in range(BATCH)]
    soon = [posts.one(now() + timedelta(minutes=4)) for _ in range(BATCH)]
    first = posts.take(2 * BATCH)
    for batch in (first, soon, posts.take(BATCH), old, posts.take(BATCH)):
        send(kafka.kafka_bootstrap, topic, batch)
    state = run(kafka, topic, tmp_path)
    assert stored(sqlite(tmp_path)) == posts.right
    assert datetime.fromisoformat(state["watermark"]) < now() + timedelta(minutes=5)
