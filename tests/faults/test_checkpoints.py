"""Checkpoints that are replayed, lost or damaged, and topics that no longer reach back as far."""

import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import KafkaAdminClient
from pyspark.sql import SparkSession
from tests.faults.test_recovery import RUNNING, feeding
from tests.support import (
    Job,
    Posts,
    clear,
    new_topic,
    now,
    records,
    run_job,
    send,
    sqlite,
    stored,
    truncate,
    wait,
    window,
)  # fmt: skip

from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.kafka import topics
from millrace.spark.checkpoint.topics import NOTE, forget

UPLOADED_SOON = {"JAVA_TOOL_OPTIONS": "-Dspark.sql.streaming.stateStore.maintenanceInterval=200ms"}
SQL = ("sqlite", "mysql", "postgres")


@dataclass
class Bench:
    """A topic, posts for it, and a home in which the job runs to the end of the topic each time."""

    settings: Settings
    home: Path

    def __post_init__(self) -> None:
        self.bootstrap = self.settings.kafka_bootstrap
        self.topic = new_topic(self.bootstrap, partitions=2)
        self.posts = Posts(window(now()) - timedelta(minutes=8))

    @property
    def checkpoint(self) -> Path:
        return next(path for path in (self.home / "checkpoints").iterdir() if path.is_dir())

    def send(self, count: int) -> None:
        send(self.bootstrap, self.topic, self.posts.take(count))

    def run(self, *options: str) -> dict:
        shared = ["--once", "--bootstrap", self.bootstrap, "--home", str(self.home), "--topic", self.topic]
        run_job("hashtags", *shared, *options)
        return json.loads((self.home / "run" / "hashtags.json").read_text())


@pytest.fixture
def bench(kafka: Settings, spark: SparkSession, tmp_path: Path) -> Bench:
    return Bench(kafka, tmp_path)


def test_a_batch_whose_commit_is_gone_is_replayed_into_every_sink(
    bench: Bench, mysql: Settings, postgres: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = {"sqlite": sqlite(bench.home), "mysql": mysql.store_url("mysql"), "postgres": postgres.store_url("postgres")}
    clear(*urls.values())
    for name in ("mysql", "postgres"):
        monkeypatch.setenv(f"MILLRACE_{name.upper()}_URL", urls[name])
    sinks = [word for name in (*SQL, "kafka") for word in ("--sink", name)]
    bench.send(1200)
    bench.run(*sinks, "--max-offsets", "500")
    commits = bench.checkpoint / "commits"
    last = max(int(path.name) for path in commits.iterdir() if path.name.isdigit())
    rows = {int(path.name): path for path in (bench.checkpoint / "offsets").iterdir() if path.name.isdigit()}
    assert last >= 2 and last in rows
    before = published(bench)
    for batch in (last, last - 1):
        (commits / str(batch)).unlink()
    (bench.checkpoint / "offsets" / str(last)).unlink()  # so the newest planned batch is the one before
    state = bench.run(*sinks, "--max-offsets", "500")
    assert state["records"] > 0  # it was replayed
    for url in urls.values():
        assert stored(url) == bench.posts.right
    after = published(bench)
    assert len(after) > len(before)
    assert latest(after) == bench.posts.right


def published(bench: Bench) -> list[tuple[tuple, int]]:
    rows = (json.loads(record.value) for record in records(bench.bootstrap, "hashtag-counts"))
    return [
        ((row["window_start"], row["hashtag"]), row["posts"]) for row in rows if row["window_start"] >= since(bench)
    ]


def since(bench: Bench) -> str:
    return f"{bench.posts.start:%Y-%m-%dT%H:%M}"


def latest(rows: list[tuple[tuple, int]]) -> dict:
    return {(datetime.fromisoformat(start), tag): posts for (start, tag), posts in dict(rows).items()}


def test_a_lost_checkpoint_changes_nothing(bench: Bench) -> None:
    bench.send(500)
    bench.run()
    shutil.rmtree(bench.checkpoint)
    bench.send(200)
    assert bench.run()["records"] == 700
    assert stored(sqlite(bench.home)) == bench.posts.right


def test_a_lost_checkpoint_and_a_truncated_topic_shrink_no_count(bench: Bench) -> None:
    bench.send(2000)  # 100 s: two windows or three
    bench.run()
    right = bench.posts.right.copy()
    truncate(bench.bootstrap, bench.topic, {0: 700, 1: 700})
    shutil.rmtree(bench.checkpoint)
    bench.posts.start += timedelta(minutes=3)  # new windows are whole
    bench.send(300)
    state = bench.run()
    assert state["records"] < 2300 - 1300
    found = stored(sqlite(bench.home))
    assert found == bench.posts.right
    assert sum(right.values()) < sum(found.values())


def test_a_topic_that_was_made_anew_is_another(bench: Bench) -> None:
    """Its offsets go beyond those of the checkpoint, so Spark alone would skip what lies below, and say nothing."""
    bench.send(100)
    bench.run()
    admin = KafkaAdminClient(bootstrap_servers=bench.bootstrap)
    admin.delete_topics([bench.topic])
    wait(lambda: bench.topic not in topics.existing(bench.bootstrap), "deletion")
    admin.close()
    topics.create(bench.bootstrap, [topics.Topic(bench.topic, key="id", schema="post.v1")], 2)
    bench.send(300)
    with pytest.raises(MillraceError, match=f"another topic {bench.topic}") as failure:
        bench.run()
    assert str(bench.checkpoint) in str(failure.value)
    assert forget(bench.home, "another cluster") == []
    with topics.administrator(bench.bootstrap) as there:
        forget(bench.home, there.describe_cluster()["cluster_id"])  # as `millrace down --data` does
    assert bench.run()["records"] == 300


def test_a_checkpoint_of_the_first_version_is_taken_up(kafka: Settings, spark: SparkSession, tmp_path: Path) -> None:
    """It had read the first 300 of these posts, in two batches; the window at hand goes on where it was."""
    topic, bootstrap, minute = "handed-over", kafka.kafka_bootstrap, timedelta(minutes=1)
    topics.create(bootstrap, [topics.Topic(topic, key="id", schema="post.v1")], 1)
    posts = Posts(datetime(2026, 11, 20, 12, tzinfo=UTC), seed=15, per_second=4.0)
    try:
        send(bootstrap, topic, posts.take(600))
        with tarfile.open(Path(__file__).with_name("data") / "checkpoint.tar.gz") as recorded:
            recorded.extractall(tmp_path, filter="data")
        cluster, known = topics.identities(bootstrap, [topic])
        (tmp_path / "checkpoint" / NOTE).write_text(json.dumps({"cluster": cluster, "topics": known}))
        place = ["--bootstrap", bootstrap, "--home", str(tmp_path), "--checkpoint", str(tmp_path / "checkpoint")]
        run_job("hashtags", "--once", "--topic", topic, *place)
        assert json.loads((tmp_path / "run" / "hashtags.json").read_text())["records"] == 300
        right = {key: count for key, count in posts.right.items() if key[0] > posts.start}
        assert stored(sqlite(tmp_path)) == right and {start for start, _ in right} == {
            posts.start + minute, posts.start + 2 * minute,
        }  # fmt: skip
    finally:
        with topics.administrator(bootstrap) as admin:
            admin.delete_topics([topic])


def test_records_that_vanished_unread_stop_the_job(bench: Bench) -> None:
    bench.send(200)
    bench.run()
    bench.send(200)
    truncate(bench.bootstrap, bench.topic)
    with pytest.raises(MillraceError) as failure:
        bench.run()
    said = str(failure.value)
    assert bench.topic in said
    assert str(bench.checkpoint) in said and "remove" in said  # what to do
    shutil.rmtree(bench.checkpoint)  # as told
    bench.posts.right.clear()
    bench.posts.start = window(now()) - timedelta(minutes=4)
    bench.posts.per_second = 4  # from 100 s on: a window that the topic holds in part, and two whole ones
    bench.send(400)
    bench.run()
    whole = bench.posts.start + timedelta(minutes=2)
    assert stored(sqlite(bench.home), whole - timedelta(minutes=1)) == {
        key: posts for key, posts in bench.posts.right.items() if key[0] >= whole
    }


@pytest.mark.parametrize("part", ["metadata", "offsets", "commits"])
def test_a_damaged_checkpoint_is_named(bench: Bench, part: str) -> None:
    bench.send(100)
    bench.run()
    damaged = bench.checkpoint / part
    if damaged.is_dir():
        damaged = max(path for path in damaged.iterdir() if path.name.isdigit())
    damaged.write_bytes(b"{ not what it was")
    bench.send(100)
    with pytest.raises(MillraceError) as failure:
        bench.run()
    assert str(bench.checkpoint) in str(failure.value) and "remove" in str(failure.value)


def test_state_comes_back_from_its_snapshots(kafka: Settings, tmp_path: Path, begin: Callable[..., Any]) -> None:
    """A restart needs no changes from before the last snapshot, which Spark removes after a while."""
    topic, posts = new_topic(kafka.kafka_bootstrap, partitions=2), Posts(window(now()) - timedelta(minutes=8))
    with feeding(kafka, topic, posts) as stop:
        job = begin(Job, "hashtags", kafka, tmp_path, *RUNNING, "--topic", topic, **UPLOADED_SOON)
        wait(lambda: all(map(snapshots, stored_state(tmp_path))), "snapshots", job, 180)
        job.kill()
        for part in stored_state(tmp_path):
            for changes in part.glob("*.changelog"):
                if int(changes.stem) <= max(snapshots(part)):
                    changes.unlink()
        again = begin(Job, "hashtags", kafka, tmp_path, *RUNNING, "--topic", topic)
        again.has_read(200)
        stop()
    wait(lambda: stored(sqlite(tmp_path)) == posts.right, "right table", again, 180)
    assert again.stop() == 0, again.text()


def stored_state(home: Path) -> list[Path]:
    """Return the folders of the state of both partitions, none as long as there is no state."""
    return sorted(home.glob("checkpoints/*/state/0/[01]")) or [home]


def snapshots(part: Path) -> list[int]:
    """Return the versions of a partition's state that were uploaded whole."""
    return [int(path.stem) for path in part.glob("*.zip")]
