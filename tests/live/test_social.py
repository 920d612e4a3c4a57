"""The social analyses from Kafka to SQLite and back to Kafka, against a story's own answer."""

import json
import sqlite3
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests.social import Story, moment
from tests.support import Job, new_topic, now, producer, records, run_job, sqlite, wait, window

from millrace.config import Settings
from millrace.errors import ConfigError
from millrace.kafka.results import DASHBOARD, ENGAGEMENT, FILTERED, POST_HASHTAGS
from millrace.sinks.sql import tables


@pytest.fixture(scope="module")
def story() -> Story:
    return Story(start=window(now()) - timedelta(minutes=20), count=900, seed=21)


@pytest.fixture(scope="module")
def told(kafka: Settings, story: Story) -> list[str]:
    """The options of a job that reads the story, disturbed, to its end."""
    topic = new_topic(kafka.kafka_bootstrap)
    with producer(kafka.kafka_bootstrap) as writer:
        for event in story.disturbed():
            at = round(moment(event).timestamp() * 1000)
            writer.send(topic, json.dumps(event).encode(), key=event["id"].encode(), timestamp_ms=at)
    return ["--topic", topic, "--bootstrap", kafka.kafka_bootstrap, "--once", "--max-offsets", "400", "--deduplicate"]


def query(home: Path, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(sqlite(home).removeprefix("sqlite:///")) as connection:
        return connection.execute(sql).fetchall()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_engagement(kafka: Settings, spark: SparkSession, story: Story, told: list[str], tmp_path: Path) -> None:
    run_job("engagement", *told, "--home", str(tmp_path))
    found = dict(query(tmp_path, "SELECT id, engagement_score FROM post_engagement"))
    assert found == story.scores()
    deleted = {name for name, score in story.scores().items() if score is None}
    assert {name for (name,) in query(tmp_path, "SELECT id FROM post_engagement WHERE deleted")} == deleted
    rows = query(tmp_path, "SELECT window_start, readings, average_score, max_score FROM engagement_windows")
    assert {at(start): (n, pytest.approx(mean), most) for start, n, mean, most in rows} == story.windows()
    published = [json.loads(record.value) for record in records(kafka.kafka_bootstrap, ENGAGEMENT.topic.name)]
    newest = {row["id"]: row["engagement_score"] for row in sorted(published, key=lambda row: row["observed_at"])}
    assert {name: score for name, score in newest.items() if name in found} == found
    again = json.loads((tmp_path / "run" / "engagement-windows.json").read_text())
    assert again["records"] == json.loads((tmp_path / "run" / "engagement.json").read_text())["records"]


def test_dashboard(kafka: Settings, spark: SparkSession, story: Story, told: list[str], tmp_path: Path) -> None:
    run_job("dashboard", *told, "--home", str(tmp_path))
    run_job("hashtags", *told, "--home", str(tmp_path))
    rows = query(tmp_path, "SELECT window_start, posts, authors, bots, top_language FROM minute_dashboard WHERE posts")
    assert {at(start): tuple(rest) for start, *rest in rows} == story.dashboard()
    tags: dict[datetime, Counter[str]] = {}
    for post in story.created():
        tags.setdefault(window(moment(post)), Counter()).update(post["hashtags"])
    tops = {start: min(((-n, tag) for tag, n in each.items()), default=(None, None)) for start, each in tags.items()}
    rows = query(tmp_path, "SELECT window_start, top_hashtag, top_hashtag_posts FROM minute_dashboard WHERE posts")
    assert {at(start): (posts and -posts, tag) for start, tag, posts in rows} == tops
    published = [json.loads(record.value) for record in records(kafka.kafka_bootstrap, DASHBOARD.topic.name)]
    ours = {at(row["window_start"]) for row in published if row["source"] == "mastodon" and row["posts"]}
    assert ours >= set(story.dashboard())


def test_counts_languages_and_authors(spark: SparkSession, story: Story, told: list[str], tmp_path: Path) -> None:
    for job in ("counts", "languages", "authors"):
        run_job(job, *told, "--sink", "sqlite", "--home", str(tmp_path))
    rows = query(tmp_path, "SELECT window_start, posts FROM post_counts")
    assert Counter({(at(start),): posts for start, posts in rows}) == story.counts(None, 10)
    for name in ("language", "author"):
        rows = query(tmp_path, f"SELECT window_start, {name}, posts FROM {name}_counts")
        assert Counter({(at(start), key): posts for start, key, posts in rows}) == story.counts(name)
    shares = query(tmp_path, "SELECT window_start, sum(share), min(rank) FROM language_shares GROUP BY window_start")
    assert all((pytest.approx(1), 1) == (share, rank) for _, share, rank in shares)
    most = query(
        tmp_path, "SELECT window_start, max(posts) FROM most_active_authors WHERE rank = 1 GROUP BY window_start"
    )
    best: Counter[datetime] = Counter()
    for (start, _), posts in story.counts("author").items():
        best[start] = max(best[start], posts)
    assert {at(start): posts for start, posts in most} == best


def test_filtered_and_hashtags_per_post(
    kafka: Settings, spark: SparkSession, story: Story, told: list[str], tmp_path: Path
) -> None:
    run_job("filtered", *told, "--language", "de", "--no-bots", "--home", str(tmp_path))
    changes = [event for event in story.events if event["operation"] in ("create", "update")]
    right = {event["event_id"] for event in changes if event["language"] == "de" and not event["author"]["bot"]}
    published = [json.loads(record.value) for record in records(kafka.kafka_bootstrap, FILTERED.topic.name)]
    ours = [post for post in published if f"/posts/{story.seed}/" in post["id"]]
    assert Counter(post["event_id"] for post in ours) == Counter(right)
    run_job("hashtags", *told, "--per-post", "--home", str(tmp_path))
    published = [json.loads(record.value) for record in records(kafka.kafka_bootstrap, POST_HASHTAGS.topic.name)]
    tagged = {post["id"]: post["hashtags"] for post in story.created() if post["hashtags"]}
    assert {
        row["id"]: row["hashtags"] for row in published if row["created_at"] and row["id"] in tagged
    }.keys() == tagged.keys()
    assert all(row["hashtag_count"] == len(row["hashtags"]) for row in published)
    with pytest.raises(ConfigError, match="no table"):
        run_job("filtered", *told, "--sink", "sqlite", "--home", str(tmp_path))


def test_two_queries_stop_together(kafka: Settings, story: Story, told: list[str], tmp_path: Path) -> None:
    """SIGTERM ends both after their batches; what they had read stands in the store."""
    job = Job("engagement", kafka, tmp_path, "--topic", told[1], "--sink", "sqlite")
    windows = tmp_path / "run" / "engagement-windows.json"

    def read() -> int:
        return json.loads(windows.read_text()).get("records", 0) if windows.exists() else 0

    try:
        job.has_read(story.count)
        wait(lambda: read() >= story.count, "windows read", job)
        assert job.stop() == 0, job.text()
        assert "Traceback" not in job.text()
    finally:
        job.kill()
    assert dict(query(tmp_path, "SELECT id, engagement_score FROM post_engagement")) == story.scores()
    assert query(tmp_path, "SELECT sum(readings) >= 1 FROM engagement_windows") == [(1,)]


def test_filtered_in_real_time(kafka: Settings, tmp_path: Path) -> None:
    """Posts come out while the first batch, a minute long, goes on."""
    topic = new_topic(kafka.kafka_bootstrap, partitions=2)
    story = Story(start=window(now()) - timedelta(minutes=5), count=300, seed=22)
    job = Job("filtered", kafka, tmp_path, "--realtime", "--topic", topic, "--language", "de", "--from", "earliest")
    try:
        with producer(kafka.kafka_bootstrap) as writer:
            for event in story.events:
                writer.send(topic, json.dumps(event).encode(), timestamp_ms=round(moment(event).timestamp() * 1000))
        changes = [event for event in story.events if event["operation"] in ("create", "update")]
        right = {(event["id"], event["event_id"]) for event in changes if event["language"] == "de"}

        def published() -> set[tuple[str, str]]:
            posts = [json.loads(record.value) for record in records(kafka.kafka_bootstrap, FILTERED.topic.name)]
            return {(post["id"], post["event_id"]) for post in posts if "/posts/22/" in post["id"]}

        wait(lambda: published() >= right, "posts in real time", job, 180)
        assert job.state()["state"] == "started"  # no batch has ended
        assert published() == right
        assert job.stop() == 0, job.text()
    finally:
        job.kill()


def test_real_time_goes_with_kafka_alone(told: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--realtime"):
        run_job("filtered", *told, "--realtime", "--home", str(tmp_path))


def test_keys_of_topics_are_those_of_their_tables() -> None:
    from millrace.kafka.results import TOPICS

    for topic in TOPICS.values():
        if topic.schema in tables.metadata.tables:
            keys = [column.name for column in tables.metadata.tables[topic.schema].primary_key]
            assert topic.key.split(", ") == keys
