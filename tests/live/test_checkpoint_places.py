"""A checkpoint is one place however it is spelled; lock, topic identity and what it missed hold there, also on HDFS."""

import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient
from pyspark.sql import SparkSession
from tests.support import Posts, new_topic, now, run_job, send, sqlite, stored, truncate, wait, window

from millrace.config import Settings
from millrace.errors import ConfigError, MillraceError, Unavailable
from millrace.kafka import topics
from millrace.spark.checkpoint import lock, place
from millrace.spark.checkpoint.topics import NOTE
from millrace.spark.options import parse as options_of

ELSEWHERE = {"host": "elsewhere", "pid": 7, "token": "t", "started": 0.0}


@pytest.fixture
def root(hdfs: Settings) -> str:
    """A folder of HDFS that no other test has."""
    return f"{hdfs.archive.rpartition('/')[0]}/checkpoints/{os.urandom(4).hex()}"


def spelled(folder: Path) -> list[str]:
    link = folder.with_name("link")
    link.symlink_to(folder)
    return [f"{folder}/", f"file://{folder}", f"file:{folder}/", f"{folder}/./", f"{folder.parent}//c", str(link),
            os.path.relpath(folder)]  # fmt: skip


def test_every_spelling_of_a_local_checkpoint_is_one_place(
    kafka: Settings, spark: SparkSession, tmp_path: Path
) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    first = place.at(spark, str(folder))
    usual = ["--once", "--bootstrap", kafka.kafka_bootstrap, "--home", str(tmp_path), "--sink", "console"]
    usual += ["--topic", new_topic(kafka.kafka_bootstrap)]
    for other in spelled(folder):
        assert place.at(spark, other).uri == first.uri == f"file://{folder}"
        with lock.hold(first), pytest.raises(MillraceError, match="another copy of this job runs"):
            run_job("hashtags", *usual, "--checkpoint", other)
    run_job("hashtags", *usual, "--checkpoint", f"file:///{folder}/")
    assert (folder / NOTE).exists()


def test_the_parts_of_a_job_lie_beside_each_other(tmp_path: Path) -> None:
    for given in ("/x/c", "/x/c/", "hdfs://h/c//"):
        options = options_of("engagement", None, ["--checkpoint", given])
        assert options.part("windows").checkpoint == f"{given.rstrip('/')}-windows"


def test_a_checkpoint_that_can_be_nowhere_is_refused(spark: SparkSession) -> None:
    for wrong in ("nonsense://x/y", "hdfs://localhost:1/", "a:b"):
        with pytest.raises(ConfigError, match=f"--checkpoint {wrong}"):
            place.at(spark, wrong)


def test_files_on_hdfs(spark: SparkSession, root: str) -> None:
    files = place.at(spark, root).files
    with pytest.raises(FileNotFoundError):
        files.read("note")
    assert files.list("") == []
    files.write("note", b"\0one")
    files.write("note", b"two\xff")
    files.create("folder/other", b"")
    assert files.read("note") == b"two\xff"
    for again in (lambda: files.create("note", b"x"), lambda: files.move("folder/other", "note")):
        with pytest.raises(MillraceError, match="there already"):
            again()
    with pytest.raises(FileNotFoundError):
        files.move("nothing", "else")
    files.move("note", "moved")
    assert [(each.path, each.size, each.folder) for each in files.list("")] == [
        ("folder", 0, True), ("moved", 4, False),
    ]  # fmt: skip
    files.remove("folder")
    assert [each.path for each in files.list("")] == ["moved"]


def test_hdfs_that_is_away_is_told(spark: SparkSession) -> None:
    spark.sparkContext._jsc.hadoopConfiguration().set("ipc.client.connect.max.retries", "0")
    with pytest.raises(Unavailable, match="localhost:1"):
        place.at(spark, "hdfs://localhost:1/c").files.read("note")


def test_a_lock_on_hdfs_is_held_by_one(spark: SparkSession, root: str) -> None:
    one, other = place.at(spark, root), place.at(spark, root.replace("/checkpoints", "//checkpoints") + "/")
    assert one.uri == other.uri
    with lock.hold(one) as held:
        held.beat()
        held.check()
        with pytest.raises(MillraceError, match=rf"pid {os.getpid()} .*--checkpoint.*\.lock"), lock.hold(other):
            pass
        one.beside.write(f"{one.name}.lock", json.dumps(ELSEWHERE).encode())  # it took over
        written: list[int] = []
        with pytest.raises(MillraceError, match="pid 7 on elsewhere"):
            held.guard(lambda batch, number: written.append(number))(spark.range(1), 0)
        assert written == []
    one.beside.remove(f"{one.name}.lock")
    with lock.hold(other):
        pass
    assert [each.path for each in one.beside.list("") if each.path.startswith(one.name)] == []


def test_the_guards_hold_on_hdfs(kafka: Settings, spark: SparkSession, root: str, tmp_path: Path) -> None:
    topic = new_topic(kafka.kafka_bootstrap, partitions=1)
    posts = Posts(window(now()) - timedelta(minutes=5), per_second=1.0)
    send(kafka.kafka_bootstrap, topic, posts.take(90))
    truncate(kafka.kafka_bootstrap, topic, {0: 20})
    usual = ["--once", "--bootstrap", kafka.kafka_bootstrap, "--home", str(tmp_path), "--topic", topic]
    run_job("hashtags", *usual, "--checkpoint", root)
    send(kafka.kafka_bootstrap, topic, posts.take(30))
    run_job("hashtags", *usual, "--checkpoint", root.replace("hdfs://localhost", "hdfs://LOCALHOST") + "/")
    right = {key: count for key, count in posts.right.items() if key[0] > posts.start}
    assert stored(sqlite(tmp_path)) == right  # the first window lacks twenty records, also at the second start
    admin = KafkaAdminClient(bootstrap_servers=kafka.kafka_bootstrap)
    admin.delete_topics([topic])
    wait(lambda: topic not in topics.existing(kafka.kafka_bootstrap), "deletion")
    admin.close()
    topics.create(kafka.kafka_bootstrap, [topics.Topic(topic, key="id", schema="post.v1")], 1)
    with pytest.raises(MillraceError, match=f"another topic {topic}"):
        run_job("hashtags", *usual, "--checkpoint", root)
