"""The archive end to end: a topic archived, the archive analysed and played back, each equal to the live run."""

import json
import sqlite3
import uuid
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests.archived import TOPIC, frame, record
from tests.social import Story, moment
from tests.support import Posts, new_topic, now, producer, records, run_job, send, sqlite, stored, window

from millrace import config
from millrace.archive import census, compact, files, replay
from millrace.archive.files import Files
from millrace.archive.replay import EVERYTHING
from millrace.config import Settings
from millrace.errors import ConfigError, MillraceError
from millrace.kafka.times import END
from millrace.sinks.archive import writer as sink

JOBS = {
    "hashtags": ["hashtag_counts"],
    "engagement": ["post_engagement", "engagement_windows"],
    "counts": ["post_counts"],
}


@pytest.fixture
def bootstrap(kafka: Settings) -> str:
    return kafka.kafka_bootstrap


def told(bootstrap: str, story: Story) -> str:
    """Return a topic that holds the story, with headers, in transactions of 100, each fifth of which was aborted."""
    topic = new_topic(bootstrap)
    with producer(bootstrap, transactional_id=topic) as writer:
        writer.init_transactions()
        for begin in range(0, len(story.events), 100):
            writer.begin_transaction()
            for event in story.events[begin : begin + 100]:
                at = round(moment(event).timestamp() * 1000)
                writer.send(topic, json.dumps(event).encode(), key=event["id"].encode(), timestamp_ms=at,
                            headers=[("schema", b"post.v1")])  # fmt: skip
            writer.commit_transaction()
            writer.begin_transaction()
            writer.send(topic, b"aborted", key=b"aborted")
            writer.flush()
            writer.abort_transaction()
    return topic


def archive_topic(topic: str, bootstrap: str, home: Path, *more: str) -> None:
    arguments = ["--topic", topic, "--bootstrap", bootstrap, "--once", "--home", str(home), "--max-offsets", "300"]
    run_job("archive", *arguments, *more)


def contents(found: list[Any]) -> Counter[tuple[Any, ...]]:
    return Counter(
        (each.partition, each.timestamp, each.key, each.value, tuple((key, value) for key, value in each.headers))
        for each in found
    )


def tables(home: Path, names: list[str]) -> dict[str, list[tuple[Any, ...]]]:
    with sqlite3.connect(sqlite(home).removeprefix("sqlite:///")) as connection:
        return {name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr) for name in names}


@pytest.mark.parametrize("archive", ["hdfs"], indirect=True)
def test_replay_equals_live(spark: SparkSession, archive: Files, bootstrap: str, tmp_path: Path) -> None:
    """Row for row: the live stream, the archive as a batch (before and after compaction) and played back."""
    story = Story(start=window(now()) - timedelta(hours=3), count=700, seed=31, gap=4.0)
    topic = told(bootstrap, story)
    archive_topic(topic, bootstrap, tmp_path)
    assert census.verify(archive) == []
    assert contents(records(bootstrap, topic)) == contents(list(replay.read(archive, topic, EVERYTHING)))
    sent = replay.replay(archive, topic, bootstrap)
    assert sent == story.count
    assert contents(records(bootstrap, f"{topic}-replay")) == contents(records(bootstrap, topic))
    live, again, batch = (tmp_path / name for name in ("live", "again", "batch"))
    for job, names in JOBS.items():
        usual = ["--bootstrap", bootstrap, "--sink", "sqlite"]
        run_job(job, *usual, "--topic", topic, "--once", "--max-offsets", "250", "--home", str(live))
        run_job(job, *usual, "--topic", f"{topic}-replay", "--once", "--home", str(again))
        run_job(job, *usual, "--topic", topic, "--from-archive", "--home", str(batch))
        right = tables(live, names)
        assert all(right.values())
        assert tables(batch, names) == right
        assert tables(again, names) == right
    assert compact.compact(archive, now=now() + timedelta(days=1))
    compacted = tmp_path / "compacted"
    run_job("hashtags", "--topic", topic, "--from-archive", "--deduplicate", "--home", str(compacted))
    assert tables(compacted, JOBS["hashtags"]) == tables(live, JOBS["hashtags"])
    assert contents(list(replay.read(archive, topic, EVERYTHING))) == contents(records(bootstrap, topic))


@pytest.mark.parametrize("archive", ["file"], indirect=True)
def test_a_replay_sends_all_that_is_not_of_the_future(
    spark: SparkSession, archive: Files, bootstrap: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [record(n)._replace(timestamp=at) for n, at in enumerate((-86_400_000, -1, 1_700_000_000_000, END))]
    sink.append(archive)(frame(spark, made), 0)
    topic = f"odd-{uuid.uuid4().hex[:8]}"
    assert replay.replay(archive, TOPIC, bootstrap, topic, speed=1.0) == 3
    assert [each.timestamp for each in records(bootstrap, topic)] == [each.timestamp for each in made[:3]]
    assert "which topics refuse: 1, the first cafe-posts[0] at offset 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    "layout", [[], ["--format", "parquet"], ["--single-file"]], ids=["jsonl", "parquet", "single_file"]
)
def test_a_lost_checkpoint_loses_and_doubles_nothing(
    spark: SparkSession, archive: Files, bootstrap: str, tmp_path: Path, layout: list[str]
) -> None:
    topic = new_topic(bootstrap)
    for number in range(3):
        send(bootstrap, topic, [(f"{number} {n}".encode(), 1_790_000_000_000 + n) for n in range(400)])
        archive_topic(topic, bootstrap, tmp_path / str(number), *layout)  # each a home without checkpoint
    archive_topic(topic, bootstrap, tmp_path / "2", *layout)  # and one with
    right = Counter(record.value for record in records(bootstrap, topic))
    assert Counter(values(archive, topic, bool(layout[:1] == ["--single-file"]))) == right
    if layout != ["--single-file"]:
        assert census.verify(archive) == []


def values(archive: Files, topic: str, single: bool) -> list[bytes | None]:
    if single:
        lines = archive.read("kafka_demo/tweets_data.json").splitlines()
        return [json.loads(line)["value"].encode() for line in lines]
    return [each.value for each in replay.read(archive, topic, EVERYTHING)]


@pytest.mark.parametrize("layout", [[], ["--single-file"]], ids=["jsonl", "single_file"])
def test_a_replayed_batch_changes_nothing(
    spark: SparkSession, archive: Files, bootstrap: str, tmp_path: Path, layout: list[str]
) -> None:
    topic = new_topic(bootstrap)
    send(bootstrap, topic, [(f"{n}".encode(), 1_790_000_000_000 + n) for n in range(500)])
    archive_topic(topic, bootstrap, tmp_path, *layout)
    before = Counter(values(archive, topic, bool(layout)))
    [checkpoint] = [path for path in (tmp_path / "checkpoints").iterdir() if path.is_dir()]
    newest = max((checkpoint / "commits").glob("[0-9]*"), key=lambda path: int(path.name))
    newest.unlink()
    newest.with_name(f".{newest.name}.crc").unlink(missing_ok=True)
    archive_topic(topic, bootstrap, tmp_path, *layout)
    assert Counter(values(archive, topic, bool(layout))) == before == Counter(f"{n}".encode() for n in range(500))


def test_a_topic_made_anew_is_not_mixed_with_the_old(
    spark: SparkSession, archive: Files, bootstrap: str, tmp_path: Path
) -> None:
    from tests.archived import frame, record

    from millrace.sinks.archive import writer as sink

    topic = new_topic(bootstrap, partitions=1)
    send(bootstrap, topic, [(b"x", 1_790_000_000_000)])
    old = [record(n)._replace(topic=topic) for n in range(9)]
    sink.append(archive)(frame(spark, old), 0)
    with pytest.raises(ConfigError, match="was made anew"):
        archive_topic(topic, bootstrap, tmp_path)


def test_a_second_writer_is_refused(spark: SparkSession, archive: Files, bootstrap: str, tmp_path: Path) -> None:
    from millrace.archive import lease

    topic = new_topic(bootstrap)
    with lease.hold(archive, f"source={topic}/_writer"), pytest.raises(MillraceError, match="another writer"):
        archive_topic(topic, bootstrap, tmp_path)
    refused = pytest.raises(MillraceError, match=r"another writer is at work")
    with lease.hold(archive, "kafka_demo/_tweets_data.json/_writer"), refused:
        archive_topic(topic, bootstrap, tmp_path, "--single-file")


def test_options_that_do_not_go_together_are_refused(kafka: Settings, tmp_path: Path) -> None:
    for wrong in (["--sink", "sqlite"], ["--from-archive"]):
        with pytest.raises(ConfigError, match="where records go"):
            run_job("archive", "--bootstrap", kafka.kafka_bootstrap, "--home", str(tmp_path), *wrong)
    for shaping in (["--from", "latest"], ["--deduplicate"], ["--emit", "final"]):
        with pytest.raises(ConfigError, match=f"{shaping[0]}.*: the archive keeps every"):
            run_job("archive", "--bootstrap", kafka.kafka_bootstrap, "--home", str(tmp_path), *shaping)
    with pytest.raises(ConfigError, match="does not go with --realtime"):
        run_job("filtered", "--realtime", "--from-archive", "--home", str(tmp_path))


def test_what_the_archive_does_not_hold_is_said(archive: Files, bootstrap: str, spark: SparkSession) -> None:
    with pytest.raises(ConfigError, match="holds no topic nonsense"):
        run_job("hashtags", "--topic", "nonsense", "--from-archive")
    with pytest.raises(ConfigError, match="holds no topic"):
        census.hours(archive, ["nonsense"])
    assert census.hours(archive) == [] == census.verify(archive)
    assert config.load().archive == archive.url == files.of(config.load()).url


@pytest.mark.parametrize("archive", ["file"], indirect=True)
def test_it_runs_beside_other_jobs(spark: SparkSession, archive: Files, bootstrap: str, tmp_path: Path) -> None:
    """Archive, dead letters and counts of one topic from one application; the archive is free for another after it."""
    posts, topic = Posts(window(now()) - timedelta(minutes=5)), new_topic(bootstrap)
    send(bootstrap, topic, [*posts.take(300), (b"no post", 1_790_000_000_000), (None, 1_790_000_000_001)])
    usual = ["--bootstrap", bootstrap, "--once", "--home", str(tmp_path)]
    jobs = (["hashtags", "--topic", topic], ["archive", "--topic", topic], ["quarantine", topic])
    run_job("several", *[word for job in jobs for word in (*job, *usual, "+")][:-1])
    assert stored(sqlite(tmp_path)) == posts.right
    assert contents(list(replay.read(archive, topic, EVERYTHING))) == contents(records(bootstrap, topic))
    letters = [json.loads(record.value) for record in records(bootstrap, "dead-letters")]
    assert len([letter for letter in letters if letter["topic"] == topic]) == 2
    archive_topic(topic, bootstrap, tmp_path)  # its lease was given back
    assert len(list(replay.read(archive, topic, EVERYTHING))) == 302
