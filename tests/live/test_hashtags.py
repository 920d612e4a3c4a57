"""The pipeline as a whole: what stands in the tables is what the simulator knows to be right."""

import json
import re
import sqlite3
import uuid
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.live.conftest import Mill
from tests.support import MINUTE, Counts, Posts, new_topic, now, post, records, run_job, send, sqlite, stored, window

from millrace.config import Settings
from millrace.kafka import parse, read
from millrace.queries.hashtags import hashtag_counts

STORES = ("sqlite", "mysql", "postgres")


@pytest.mark.parametrize("store", STORES)
def test_the_table_is_the_truth(mill: Mill, store: str) -> None:
    assert mill.summary["malformed"] > 100
    assert min(mill.summary[kind] for kind in ("updates", "deletes", "late")) > 50
    assert stored(mill.settings.store_url(store), since=mill.start - 2 * MINUTE) == mill.in_time
    assert sum(mill.in_time.values()) > 1000


@pytest.mark.parametrize("store", STORES)
def test_late_posts_count_in_full_or_not_at_all(mill: Mill, store: str) -> None:
    """The first batch has no watermark yet; from the third on they are dropped. None lands in another window."""
    found = stored(mill.settings.store_url(store))
    early = Counts({key: posts for key, posts in found.items() if key[0] < mill.start - 2 * MINUTE})
    assert early <= mill.late
    assert sum(early.values()) < sum(mill.late.values())


def test_stored_times_are_iso_text_in_utc(mill: Mill) -> None:
    with sqlite3.connect(mill.settings.sqlite.removeprefix("sqlite:///")) as connection:
        times = {row[0] for row in connection.execute("SELECT window_start FROM hashtag_counts")}
    assert f"{mill.start + MINUTE:%Y-%m-%dT%H:%M:00.000Z}" in times


def test_a_batch_over_the_topic_counts_the_same(mill: Mill, spark: SparkSession) -> None:
    posts = parse.posts(read.batch(spark, mill.settings.kafka_bootstrap, ["bluesky-raw-posts"]))
    counted = hashtag_counts(posts).selectExpr("unix_timestamp(window_start) AS s", "hashtag", "posts").collect()
    expected = {(int(start.timestamp()), tag): n for (start, tag), n in (mill.in_time + mill.late).items()}
    assert {(row.s, row.hashtag): row.posts for row in counted} == expected


def test_the_run_file_tells_where_the_job_stands(mill: Mill) -> None:
    state = json.loads((mill.settings.home / "run" / "hashtags.json").read_text())
    assert state["records"] == mill.summary["posts"]
    assert (state["bad_records"], state["kafka_lag"]) == (0, 0)
    assert state["batch_id"] >= 2


def test_repeated_events_of_a_foreign_producer(kafka: Settings, spark: SparkSession, tmp_path: Path) -> None:
    posts = Posts(start=window(now()) - timedelta(minutes=5), seed=3)
    once = posts.take(1500)
    topic = new_topic(kafka.kafka_bootstrap)
    again = [record for number, record in enumerate(once) if number % 3 == 0]
    posts.draw.shuffle(again)
    send(kafka.kafka_bootstrap, topic, [*once[:800], *again, *once[800:], *again])
    shared = ["--once", "--topic", topic, "--bootstrap", kafka.kafka_bootstrap, "--max-offsets", "900"]
    run_job("hashtags", *shared, "--deduplicate", "--home", str(tmp_path))
    assert stored(sqlite(tmp_path)) == posts.right
    other = tmp_path / "plain"
    run_job("hashtags", *shared, "--home", str(other))
    assert sum(stored(sqlite(other)).values()) > 1.4 * sum(posts.right.values())


def test_kafka_alone_gets_each_window_once_when_it_has_closed(
    kafka: Settings, spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last windows are held back, and the job says which; later events release them."""
    start = window(now()) - timedelta(days=2, hours=uuid.uuid4().int % 10_000)  # windows of no other test
    posts, topic = Posts(start, seed=4, per_second=1), new_topic(kafka.kafka_bootstrap)
    shared = ["--once", "--topic", topic, "--bootstrap", kafka.kafka_bootstrap, "--home", str(tmp_path)]
    send(kafka.kafka_bootstrap, topic, posts.take(1200))  # 20 minutes
    right = posts.right.copy()
    run_job("hashtags", *shared, "--sink", "kafka")
    [told] = re.findall(r"windows that end after (\S+) are held back", capsys.readouterr().err)
    held = datetime.fromisoformat(told)
    assert start + 8 * MINUTE < held < start + 10 * MINUTE
    assert published(kafka, start) == Counts({key: n for key, n in right.items() if key[0] + MINUTE <= held})
    later = start + 40 * MINUTE
    send(kafka.kafka_bootstrap, topic, [(post("later", later, ["cat"]), round(later.timestamp() * 1000))])
    run_job("hashtags", *shared, "--sink", "kafka")
    assert published(kafka, start) == right


def published(kafka: Settings, start: datetime) -> Counts:
    """Return what the topic hashtag-counts holds of an hour; each key is there once."""
    rows = [json.loads(record.value) for record in records(kafka.kafka_bootstrap, "hashtag-counts")]
    found = [((datetime.fromisoformat(row["window_start"]), row["hashtag"]), row["posts"]) for row in rows]
    hour = [(key, posts) for key, posts in found if start <= key[0] < start + 60 * MINUTE]
    assert len(hour) == len(dict(hour))
    return Counts(dict(hour))
