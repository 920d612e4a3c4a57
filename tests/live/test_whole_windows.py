"""A backfill, a replay and a run from the latest leave windows alone that they did not read whole."""

import json
import shutil
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer
from pyspark.sql import SparkSession
from tests.archived import TOPIC, frame, record
from tests.support import Posts, new_topic, now, run_job, send, sqlite, stored, truncate, window

from millrace import config
from millrace.archive import beyond, replay
from millrace.archive.files import Files
from millrace.archive.log import Log
from millrace.config import Settings
from millrace.kafka import times
from millrace.kafka.gaps import Gaps
from millrace.sinks.archive import writer as sink
from millrace.spark.backfill import Backfill

MINUTE = timedelta(minutes=1)


class Bench:
    """A topic of posts, three a minute of which carry a tag, and the table of a job that runs live."""

    def __init__(self, kafka: Settings, home: Path) -> None:
        self.bootstrap, self.home = kafka.kafka_bootstrap, home
        self.topic = new_topic(self.bootstrap, partitions=2)
        self.posts = Posts(window(now()) - timedelta(hours=1), per_second=1.0)

    def send(self, count: int) -> None:
        send(self.bootstrap, self.topic, self.posts.take(count))

    def run(self, job: str = "hashtags", *options: str, topic: str = "") -> None:
        place = ["--bootstrap", self.bootstrap, "--home", str(self.home), "--topic", topic or self.topic]
        run_job(job, *place, *options)

    def live(self) -> Counter:
        self.run("hashtags", "--once")
        assert stored(sqlite(self.home)) == self.posts.right
        return self.posts.right.copy()

    def since(self, minutes: int, until: int | None = None) -> Counter:
        """What is right of the windows from so many minutes after the first on, up to `until`."""
        begin, end = (self.posts.start + m * MINUTE if m is not None else None for m in (minutes, until))
        right = self.posts.right.items()
        return Counter({key: n for key, n in right if key[0] >= begin and (end is None or key[0] < end)})

    def fresh(self, name: str) -> None:
        """Go on with an empty store and no checkpoint."""
        self.home = self.home / name
        self.home.mkdir()


@pytest.fixture
def bench(kafka: Settings, spark: SparkSession, tmp_path: Path) -> Bench:
    return Bench(kafka, tmp_path)


@pytest.mark.parametrize("archive", ["file"], indirect=True)
def test_a_backfill_changes_no_window_in_which_the_archive_ends(
    bench: Bench, archive: Files, capfd: pytest.CaptureFixture[str]
) -> None:
    bench.send(150)  # two minutes and a half
    bench.run("archive", "--once")
    bench.send(150)
    right = bench.live()
    bench.run("hashtags", "--from-archive")
    assert stored(sqlite(bench.home)) == right
    assert "1 windows are not written" in capfd.readouterr().err
    bench.fresh("alone")
    bench.run("hashtags", "--from-archive")
    assert stored(sqlite(bench.home)) == bench.since(0, 2)
    bench.run("archive", "--once")
    bench.run("hashtags", "--from-archive")  # now it holds all that there is
    assert stored(sqlite(bench.home)) == right


@pytest.mark.parametrize("archive", ["file"], indirect=True)
def test_without_kafka_a_backfill_goes_by_when_the_archive_was_written(
    bench: Bench, archive: Files, capfd: pytest.CaptureFixture[str]
) -> None:
    bench.send(150)
    bench.run("archive", "--once")
    bench.bootstrap = "127.0.0.1:1"
    bench.run("hashtags", "--from-archive")
    assert stored(sqlite(bench.home)) == bench.posts.right  # all of it lay an hour back when it was written
    assert "what is beyond the archive is unknown" in capfd.readouterr().err
    [entry] = archive.list(f"source={bench.topic}/_log")
    known = json.loads(archive.read(entry.path))
    archive.write(entry.path, json.dumps(known | {"at": str(bench.posts.start + 1.5 * MINUTE)}).encode())
    bench.fresh("early")
    bench.run("hashtags", "--from-archive")
    assert stored(sqlite(bench.home)) == bench.since(0, 1)


@pytest.mark.parametrize("archive", ["file"], indirect=True)
def test_a_backfill_changes_no_window_in_which_the_archive_begins_or_has_a_gap(bench: Bench, archive: Files) -> None:
    bench.send(210)
    right = bench.live()
    truncate(bench.bootstrap, bench.topic, {0: 20, 1: 20})  # within the first minute
    bench.run("archive", "--once")
    bench.send(60)
    truncate(bench.bootstrap, bench.topic)
    shutil.rmtree(next((bench.home / "checkpoints").glob("archive-*[!k]")))
    bench.send(150)
    right = bench.posts.right.copy()
    bench.run("archive", "--once")
    bench.fresh("alone")
    bench.run("hashtags", "--from-archive")
    assert right and stored(sqlite(bench.home)) == bench.since(1, 3) + bench.since(5)


def test_a_run_from_the_latest_leaves_the_windows_that_had_begun(bench: Bench) -> None:
    """Also at its second start, which asks for no beginning."""
    bench.send(150)
    bench.live()
    bench.fresh("latest")
    checkpoint = ["--checkpoint", str(bench.home / "c")]
    bench.run("hashtags", "--once", "--from", "latest", *checkpoint)
    bench.send(150)
    bench.run("hashtags", "--once", *checkpoint)
    bench.send(30)
    bench.run("hashtags", "--once", *checkpoint)
    assert stored(sqlite(bench.home)) == bench.since(3)


@pytest.mark.parametrize("archive", ["file"], indirect=True)
def test_a_replay_of_a_part_fills_whole_windows_alone(bench: Bench, archive: Files) -> None:
    bench.send(330)
    right = bench.live()
    bench.run("archive", "--once")
    part = replay.span(bench.posts.start + 1.5 * MINUTE, bench.posts.start + 4.5 * MINUTE)
    target = f"{bench.topic}-part"
    replay.replay(archive, bench.topic, bench.bootstrap, target, span=part)
    bench.run("hashtags", "--once", topic=target)
    assert stored(sqlite(bench.home)) == right
    bench.fresh("alone")
    bench.run("hashtags", "--once", topic=target)
    assert stored(sqlite(bench.home)) == bench.since(2, 4)
    gaps = Gaps(bench.bootstrap, f"{bench.topic}-all")
    bench.send(30)
    replay.replay(archive, bench.topic, bench.bootstrap, f"{bench.topic}-all")
    [(begin, _)] = gaps.fresh()  # the topic goes on after what is archived
    gaps.close()
    assert begin == bench.posts.start + timedelta(seconds=330)


def test_empty_polls_do_not_switch_the_guard_off(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.send(150)
    bench.live()
    truncate(bench.bootstrap, bench.topic, {0: 20, 1: 20})  # within the first minute
    bench.fresh("lost")
    poll, empty = KafkaConsumer.poll, Counter()

    def slow(consumer: KafkaConsumer, *arguments: Any, **options: Any) -> Any:
        empty[consumer] += 1
        return {} if empty[consumer] <= 3 else poll(consumer, *arguments, **options)

    monkeypatch.setattr(KafkaConsumer, "poll", slow)
    bench.run("hashtags", "--once")
    assert stored(sqlite(bench.home)) == bench.since(1) and max(empty.values()) > 3


@pytest.mark.parametrize("archive", ["file"], indirect=True)
def test_a_timestamp_that_no_clock_showed_bounds_no_gap(
    spark: SparkSession, archive: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On both sides of the gap, offsets 4 and 5, and after it: analyses count no such record."""
    odd = {3: 1_795_348_800_000_000, 6: -1, 8: 253_402_300_800_000}
    kept = [record(n, seconds=60 * n) for n in (0, 1, 2, 3, 6, 7, 8)]
    made = [each._replace(timestamp=odd.get(each.offset, each.timestamp)) for each in kept]
    sink.append(archive)(frame(spark, made[:4]), 0)
    sink.append(archive)(frame(spark, made[4:]), 1)
    monkeypatch.setattr(beyond, "later", lambda *_: (None, []))
    look = Backfill({TOPIC: Log(archive, TOPIC).load()})
    [lack, *_] = look.lacks(spark, config.load())
    assert (lack.start, lack.end) == (times.moment(made[2].timestamp), times.moment(made[5].timestamp))
