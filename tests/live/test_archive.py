"""The archive on a folder and on real HDFS: what goes in comes out, once, whatever happens in between."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests.archived import BODIES, NOON, TOPIC, frame, record

from millrace.archive import census, compact, files, lease, replay, rows
from millrace.archive.files import Exists, Files
from millrace.archive.log import Log
from millrace.archive.records import Record
from millrace.errors import MillraceError
from millrace.sinks import hdfs as sink

LATER = NOON + timedelta(days=1)


def archived(archive: Files) -> list[Record]:
    """Return what the archive holds, read without Spark."""
    return list(replay.read(archive, TOPIC, replay.EVERYTHING))


def by_spark(spark: SparkSession, archive: Files) -> list[Record]:
    """Return what the archive holds, read by Spark."""
    parts = Log(archive, TOPIC).load().parts.values()
    found = rows.read(spark, archive.url, TOPIC, parts).toArrow().to_pylist()
    return sorted(
        Record(
            round(each["timestamp"].timestamp() * 1000), each["partition"], each["offset"], each["topic"],
            each["key"], each["value"], tuple((pair["key"], pair["value"]) for pair in each["headers"] or ()),
        )
        for each in found
    )  # fmt: skip


def three_batches(spark: SparkSession, archive: Files, form: str = "jsonl", per: int = 30) -> list[Record]:
    """Archive three batches over two hours; returns their records in the order of time."""
    write, made = sink.append(archive, form), []
    for number in range(3):
        own = [record(number * per + n, f"{number} {n}".encode(), seconds=130 * n) for n in range(per)]
        write(frame(spark, own), number)
        made += own
    return sorted(made)


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_every_record_reads_back_as_it_came(spark: SparkSession, archive: Files, form: str) -> None:
    made = [record(offset, body) for offset, body in enumerate(BODIES)]
    sink.append(archive, form)(frame(spark, made), 0)
    assert archived(archive) == made
    assert by_spark(spark, archive) == made
    [hour] = census.hours(archive)
    assert (hour.hour, hour.rows, hour.files) == ("date=2026-11-22/hour=12", len(BODIES), 1)
    compact_all(archive)
    assert archived(archive) == made
    assert by_spark(spark, archive) == made


def test_a_replayed_batch_writes_nothing_twice(spark: SparkSession, archive: Files) -> None:
    made = [record(n) for n in range(5)]
    write = sink.append(archive)
    write(frame(spark, made), 7)
    before = list(files.walk(archive))
    write(frame(spark, made), 7)
    sink.append(archive)(frame(spark, made), 7)
    assert list(files.walk(archive)) == before
    assert archived(archive) == made and census.verify(archive) == []


def test_records_that_are_there_are_refused_to_another_writer(spark: SparkSession, archive: Files) -> None:
    sink.append(archive)(frame(spark, [record(n) for n in range(5)]), 7)
    with pytest.raises(MillraceError, match="another writer"):
        sink.append(archive)(frame(spark, [record(n) for n in range(3, 9)]), 8)
    assert [each.offset for each in archived(archive)] == [0, 1, 2, 3, 4]


def test_what_a_killed_writer_left_is_not_read(
    spark: SparkSession, archive: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [record(n) for n in range(5)]
    with monkeypatch.context() as patch:
        patch.setattr(Log, "commit", crash)
        with pytest.raises(KeyboardInterrupt):
            sink.append(archive)(frame(spark, made), 3)
    assert list(files.walk(archive)) and census.leftovers(archive, TOPIC)
    assert archived(archive) == [] == by_spark(spark, archive)
    sink.append(archive)(frame(spark, made[:3]), 4)  # the checkpoint was lost: batches are cut differently
    sink.append(archive)(frame(spark, made[3:]), 5)
    assert archived(archive) == made == by_spark(spark, archive)
    [fault] = census.verify(archive)
    assert not fault.serious and "leftover" in fault.what
    compact.compact(archive, now=LATER)
    assert census.verify(archive) == [] and archived(archive) == made


def test_a_replay_after_a_crash_replaces_what_it_left(
    spark: SparkSession, archive: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [record(n, seconds=n * 2000) for n in range(5)]  # over several hours
    with monkeypatch.context() as patch:
        patch.setattr(Log, "commit", crash)
        with pytest.raises(KeyboardInterrupt):
            sink.append(archive)(frame(spark, made), 3)
    sink.append(archive)(frame(spark, made), 3)
    assert archived(archive) == made == by_spark(spark, archive)
    assert census.verify(archive) == []


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_compaction_keeps_every_record(spark: SparkSession, archive: Files, form: str) -> None:
    made = three_batches(spark, archive, form)
    before = census.hours(archive)
    assert [hour.files for hour in before] == [3, 3]
    progress: list[int] = []
    done = compact.compact(archive, now=LATER, advance=progress.append, rows_per_file=50)
    assert sum(progress) == len(made) == sum(hour.rows for hour in done)
    assert [(hour.files_before, hour.files) for hour in done] == [(3, 2), (3, 1)]
    assert archived(archive) == made == by_spark(spark, archive)
    assert census.verify(archive) == []
    assert compact.compact(archive, now=LATER) == []
    more = [record(90 + n) for n in range(4)]
    sink.append(archive, form)(frame(spark, more), 3)  # late, into a compacted hour
    compact.compact(archive, now=LATER)
    assert archived(archive) == sorted(made + more)
    sink.append(archive, form)(frame(spark, more), 3)  # replayed although it is compacted since
    assert archived(archive) == sorted(made + more) and census.verify(archive) == []


def test_an_open_hour_is_left_alone(spark: SparkSession, archive: Files) -> None:
    three_batches(spark, archive)
    assert compact.compact(archive, now=NOON + timedelta(minutes=65)) == []
    assert [each.hour[-2:] for each in compact.due(archive, now=NOON + timedelta(minutes=71))] == ["12"]


@pytest.mark.parametrize("step", ["write", "commit", "remove", "fold"])
def test_a_killed_compaction_changes_nothing_that_counts(
    spark: SparkSession, archive: Files, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = three_batches(spark, archive)
    with monkeypatch.context() as patch:
        target = {"commit": Log, "fold": Log}.get(step, type(archive))
        real = getattr(target, step)

        def cut(self: Any, *arguments: Any) -> Any:
            if step in ("write", "remove") and "part-" not in arguments[0] and "batch_id" not in arguments[0]:
                return real(self, *arguments)
            raise KeyboardInterrupt

        patch.setattr(target, step, cut)
        with pytest.raises(KeyboardInterrupt):
            compact.compact(archive, now=LATER)
    assert archived(archive) == made == by_spark(spark, archive)
    compact.compact(archive, now=LATER)
    assert archived(archive) == made
    assert census.verify(archive) == [] and all(hour.batches == 1 for hour in census.hours(archive))


def test_damage_is_found_and_not_compacted(spark: SparkSession, archive: Files) -> None:
    three_batches(spark, archive)
    [first, *_] = files.walk(archive)
    whole = archive.read(first.path)
    archive.write(first.path, whole[: len(whole) // 2])
    faults = census.verify(archive)
    assert any(first.path in fault.where for fault in faults) and all(fault.serious for fault in faults)
    with pytest.raises((MillraceError, EOFError, OSError)):
        compact.compact(archive, now=LATER)
    archive.write(first.path, whole)
    archive.remove(first.path.rpartition("/")[0])
    [fault] = census.verify(archive)
    assert "holds 0 rows" in fault.what
    with pytest.raises(MillraceError, match="nothing was changed"):
        compact.compact(archive, now=LATER)
    assert sum(hour.files for hour in census.hours(archive)) == 5


def test_gaps_are_found(spark: SparkSession, archive: Files) -> None:
    write = sink.append(archive)
    write(frame(spark, [record(n) for n in range(3)]), 0)
    write(frame(spark, [record(n) for n in range(5, 8)]), 1)
    [fault] = census.verify(archive)
    assert fault.serious and fault.what == "offsets 3 to 4 are not in the archive"


def test_offsets_without_records_are_no_gap_where_the_batch_took_them(spark: SparkSession, archive: Files) -> None:
    write = sink.append(archive, read=lambda batch, number: {TOPIC: {0: (number * 5, number * 5 + 5)}})
    write(frame(spark, [record(n) for n in range(3)]), 0)
    write(frame(spark, [record(n) for n in range(6, 9)]), 1)
    write(frame(spark, []), 2)
    assert census.verify(archive) == [] and Log(archive, TOPIC).load().next() == {0: 15}


def crash(*_: Any) -> None:
    raise KeyboardInterrupt


def compact_all(archive: Files) -> None:
    """Compact also hours of one batch."""
    log = Log(archive, TOPIC)
    for hour, parts in log.load().hours().items():
        compact._hour(archive, log, compact.Work(TOPIC, hour, parts), lambda count: None, 1000)
    log.fold()


def test_one_lease_at_a_time(archive: Files) -> None:
    with lease.hold(archive, "source=t/_writer") as held:
        held.check()
        taken = pytest.raises(MillraceError, match=f"another writer is at work .pid {os.getpid()} ")
        with taken, lease.hold(archive, "source=t/_writer"):
            pass
        held.beat()
    with lease.hold(archive, "source=t/_writer"):
        pass
    assert archive.list("source=t") == []


def test_a_dead_holder_loses_the_lease_at_once_and_learns_of_it(archive: Files) -> None:
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    with lease.hold(archive, "_writer") as held:
        holder = json.loads(archive.read("_writer")) | {"pid": int(child.stdout)}
        archive.write("_writer", json.dumps(holder).encode())
        with lease.hold(archive, "_writer"), pytest.raises(MillraceError, match="another writer"):
            held.check()
        assert archive.list("") == []
    elsewhere = holder | {"host": "elsewhere"}
    archive.write("_writer", json.dumps(elsewhere).encode())
    with pytest.raises(MillraceError, match="elsewhere"), lease.hold(archive, "_writer"):
        pass
    archive.write("_writer", json.dumps(elsewhere | {"heartbeat": 1.0}).encode())
    with lease.hold(archive, "_writer"):
        pass


def test_files_keep_their_promises(archive: Files) -> None:
    assert archive.list("nowhere") == []
    with pytest.raises(FileNotFoundError):
        archive.read("nowhere")
    archive.write("a/b", b"1")
    archive.write("a/b", b"2")
    archive.create("a/c", b"3")
    with pytest.raises(Exists):
        archive.create("a/c", b"4")
    with pytest.raises(Exists):
        archive.move("a/b", "a/c")
    with pytest.raises(FileNotFoundError):
        archive.move("a/x", "a/y")
    assert [(each.path, each.size) for each in archive.list("a")] == [("a/b", 1), ("a/c", 1)]
    assert (archive.read("a/b"), archive.read("a/c")) == (b"2", b"3")
    archive.remove("a")
    archive.remove("a")
    assert archive.list("") == []
