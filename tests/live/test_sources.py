"""Every analysis on every source: as a plan, and all together in one application on posts that others wrote."""

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.live.test_social import at, query
from tests.social import Story, moment
from tests.support import Job, now, producer, records, run_job, wait, window

from millrace.applications.mastodon import KNOWN as ANALYSES
from millrace.applications.mastodon import choosing
from millrace.config import Settings
from millrace.errors import ConfigError, MillraceError
from millrace.kafka import topics
from millrace.kafka.results import FILTERED
from millrace.kafka.topics import SOURCES


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("job", ANALYSES)
def test_each_runs_on_each_source(
    job: str, source: str, kafka: Settings, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--source", source, "--bootstrap", kafka.kafka_bootstrap, "--dry-run"]
    run_job(job, *options)
    alone = capsys.readouterr().out
    assert f"topics: {SOURCES[source].name};" in alone
    assert "== Physical Plan ==" in alone and "StreamingRelation kafka" in alone
    run_job("mastodon", "--analysis", job, *options)
    together = capsys.readouterr().out
    assert together.count("== Physical Plan ==") == alone.count("== Physical Plan ==")
    assert [line for line in together.splitlines() if line.startswith("checkpoint: ")] == [
        line for line in alone.splitlines() if line.startswith("checkpoint: ")
    ]


@pytest.fixture(scope="module")
def story(kafka: Settings) -> Story:
    """Posts in the topic `tweets`, as another program may write them: in disorder, some twice, and nothing else."""
    with topics.administrator(kafka.kafka_bootstrap) as admin:
        admin.delete_topics(["tweets"])
    wait(lambda: "tweets" not in topics.existing(kafka.kafka_bootstrap), "deletion")
    topics.create(kafka.kafka_bootstrap, [topics.TWEETS], kafka.partitions)
    story = Story(start=window(now()) - timedelta(minutes=15), count=600, seed=31, source="tweets")
    with producer(kafka.kafka_bootstrap) as writer:
        for event in story.disturbed():
            at = round(moment(event).timestamp() * 1000)
            writer.send("tweets", json.dumps(event).encode(), key=event["id"].encode(), timestamp_ms=at)
    return story


def test_all_seven_in_one_application(kafka: Settings, spark: SparkSession, story: Story, tmp_path: Path) -> None:
    chosen = choosing(*ANALYSES.values())
    place = ["--bootstrap", kafka.kafka_bootstrap, "--home", str(tmp_path), "--source", "tweets"]
    run_job("mastodon", *chosen, *place, "--once", "--deduplicate", "--language", "de", "--max-offsets", "300")
    assert dict(query(tmp_path, "SELECT id, engagement_score FROM post_engagement")) == story.scores()
    rows = query(tmp_path, "SELECT window_start, readings, average_score, max_score FROM engagement_windows")
    assert {at(start): (n, pytest.approx(mean), most) for start, n, mean, most in rows} == story.windows()
    rows = query(tmp_path, "SELECT window_start, posts FROM post_counts")
    assert Counter({(at(start),): posts for start, posts in rows}) == story.counts(None, 10)
    for name in ("language", "author"):
        rows = query(tmp_path, f"SELECT window_start, {name}, posts FROM {name}_counts")
        assert Counter({(at(start), key): posts for start, key, posts in rows}) == story.counts(name)
    rows = query(tmp_path, "SELECT window_start, posts, authors, bots, top_language FROM minute_dashboard WHERE posts")
    assert {at(start): tuple(rest) for start, *rest in rows} == story.dashboard()
    [(uses,)] = query(tmp_path, "SELECT sum(posts) FROM hashtag_counts WHERE source = 'tweets'")
    assert uses == sum(len(post["hashtags"]) for post in story.created())
    posts = [json.loads(record.value) for record in records(kafka.kafka_bootstrap, FILTERED.topic.name)]
    wanted = [event for event in story.events if event["operation"] in ("create", "update")]
    assert Counter(post["event_id"] for post in posts if post["source"] == "tweets") == Counter(
        event["event_id"] for event in wanted if event["language"] == "de"
    )
    told = {path.stem for path in (tmp_path / "run").glob("*.json")}
    assert told == {*ANALYSES, "engagement-windows"}


def test_one_that_cannot_go_on_stops_all(kafka: Settings, story: Story, tmp_path: Path) -> None:
    """The table that one of them fills goes away: all end, with exit code 1 and its name."""
    job = Job("mastodon", kafka, tmp_path, "--analysis", "languages", "--analysis", "counts", "--source", "tweets",
              "--sink", "sqlite", "--metrics-port", "0")  # fmt: skip
    try:
        told = [tmp_path / "run" / f"{name}.json" for name in ("languages", "counts")]
        wait(lambda: all(path.exists() and json.loads(path.read_text()).get("records") for path in told), "reads", job)
        query(tmp_path, "DROP TABLE language_counts")
        with producer(kafka.kafka_bootstrap) as writer:
            event = story.created()[-1]
            writer.send("tweets", json.dumps(event | {"event_id": "again"}).encode(),
                        timestamp_ms=round(moment(event).timestamp() * 1000))  # fmt: skip
        assert job.ends(90) == 1, job.text()
        [last] = [line for line in job.text().splitlines() if line.startswith("millrace: ")]
        assert "the stream stopped" in last and "language_counts" in last
    finally:
        job.kill()


def test_a_store_that_rows_do_not_fit_is_refused_before_anything_starts(
    kafka: Settings, spark: SparkSession, story: Story, tmp_path: Path
) -> None:
    place = ["--bootstrap", kafka.kafka_bootstrap, "--home", str(tmp_path), "--source", "tweets"]
    with pytest.raises(ConfigError, match="mastodon-hashtags has no table"):
        run_job("mastodon", "--mode", "stream", "--analysis", "full", "--sink", "sqlite", *place)
    with pytest.raises(MillraceError, match="not nonsense"):
        run_job("mastodon", "--analysis", "nonsense", *place)
    assert not (tmp_path / "run").exists()
