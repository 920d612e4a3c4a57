"""What every layout of the archive keeps, on a folder and on real HDFS: what goes in comes out, once."""

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from pyspark.sql import SparkSession
from tests.archived import BODIES, LATER, TOPIC, archived, by_spark, crash, frame, record

from millrace.archive import census, compact, files, records
from millrace.archive.files import Files
from millrace.archive.log import Log
from millrace.archive.records import Record
from millrace.errors import MillraceError
from millrace.sinks.archive import single_file
from millrace.sinks.archive import writer as hdfs
from millrace.sinks.archive.single_file import Journal
from millrace.sinks.together import Writer

PATH = "kafka_demo/tweets_data.json"


@dataclass(frozen=True)
class Layout:
    """How a layout is written and read, and the step by which a batch begins to count."""

    writer: Callable[..., Writer]
    held: Callable[[Files], list[Record]]
    commit: tuple[type, str]


def lines(archive: Files) -> list[Record]:
    """Return the records of the single file, line by line."""
    return [records._of_line(line) for line in archive.read(PATH).splitlines()]


LAYOUTS = {
    "jsonl": Layout(hdfs.append, archived, (Log, "commit")),
    "parquet": Layout(lambda place, **more: hdfs.append(place, "parquet", **more), archived, (Log, "commit")),
    "single_file": Layout(lambda place, **more: single_file.append(place, PATH, **more), lines, (Journal, "save")),
}


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> Layout:
    return LAYOUTS[request.param]


def batch(number: int, size: int = 5) -> list[Record]:
    return [record(number * size + n, f"{number} {n}".encode()) for n in range(size)]


def test_every_record_reads_back_as_it_came(spark: SparkSession, archive: Files, layout: Layout) -> None:
    made = [record(offset, body) for offset, body in enumerate(BODIES)]
    write = layout.writer(archive)
    write(frame(spark, made), 0)
    write(frame(spark, []), 1)
    write(frame(spark, batch(9)), 2)
    assert layout.held(archive) == made + batch(9)


def test_times_that_no_clock_showed_are_kept_and_told(
    spark: SparkSession, archive: Files, layout: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    """Years before 0 and after 9999, and Kafka's -1; by Spark as well, and what is past is compacted with the rest."""
    write, made = layout.writer(archive), []
    for number in range(2):
        odd = (-69_999_654_400_000, -1, 253_402_300_800_000, 1_795_348_800_000_000)
        own = [each._replace(timestamp=at) for each, at in zip(batch(number), odd, strict=False)]
        made += own + batch(number)[4:]
        with caplog.at_level("WARNING"):
            write(frame(spark, own + batch(number)[4:]), number)
    assert sorted(layout.held(archive)) == sorted(made)
    if layout.held is archived:
        assert archived(archive) == sorted(made) == by_spark(spark, archive)
        assert len(compact.compact(archive, now=LATER)) == 3
        assert archived(archive) == sorted(made) == by_spark(spark, archive)
        faults = census.verify(archive)
        assert len(faults) == 4 and not any(each.serious for each in faults)
        assert len([each for each in caplog.messages if "are kept in date=" in each]) == 8


def test_a_replayed_batch_writes_nothing_twice(spark: SparkSession, archive: Files, layout: Layout) -> None:
    write = layout.writer(archive)
    for number in (0, 0, 1, 1):
        write(frame(spark, batch(number)), number)
    before = list(files.walk(archive))
    layout.writer(archive)(frame(spark, batch(1)), 1)
    assert layout.held(archive) == batch(0) + batch(1)
    assert list(files.walk(archive)) == before


@pytest.mark.parametrize("before", [0, 1])
def test_what_a_crash_left_does_not_count(
    spark: SparkSession, archive: Files, layout: Layout, before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it the checkpoint was lost, too: batches are cut differently."""
    for number in range(before):
        layout.writer(archive)(frame(spark, batch(number)), number)
    counted = list(files.walk(archive))
    with monkeypatch.context() as patch:
        patch.setattr(*layout.commit, crash)
        with pytest.raises(KeyboardInterrupt):
            layout.writer(archive)(frame(spark, batch(before)), before)
    assert list(files.walk(archive)) != counted
    for number, part in ((2, batch(before)[:3]), (3, batch(before)[3:])):
        layout.writer(archive)(frame(spark, part), number)
    assert layout.held(archive) == [each for number in range(before + 1) for each in batch(number)]


def test_records_that_are_there_are_refused_to_another_writer(
    spark: SparkSession, archive: Files, layout: Layout
) -> None:
    write = layout.writer(archive, read=lambda *_: {TOPIC: {0: (0, 5)}})
    write(frame(spark, batch(0)), 0)
    with pytest.raises(MillraceError, match="another writer"):
        write(frame(spark, batch(0)), 1)
    assert layout.held(archive) == batch(0)


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_spark_reads_the_same_before_and_after_compaction(spark: SparkSession, archive: Files, form: str) -> None:
    made = [record(offset, body) for offset, body in enumerate(BODIES)]
    hdfs.append(archive, form)(frame(spark, made), 0)
    assert by_spark(spark, archive) == made
    [hour] = census.hours(archive)
    assert (hour.hour, hour.rows, hour.files) == ("date=2026-11-22/hour=12", len(BODIES), 1)
    compact_all(archive)
    assert archived(archive) == made == by_spark(spark, archive)


def compact_all(archive: Files) -> None:
    """Compact also hours of one batch."""
    log = Log(archive, TOPIC)
    for hour, parts in log.load().hours().items():
        compact._hour(archive, log, compact.Work(TOPIC, hour, parts), lambda count: None, 1000)
    log.fold()


def test_leftovers_are_named_and_removed(spark: SparkSession, archive: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Log, "commit", crash)
        with pytest.raises(KeyboardInterrupt):
            hdfs.append(archive)(frame(spark, batch(0)), 3)
    assert archived(archive) == [] == by_spark(spark, archive)
    hdfs.append(archive)(frame(spark, batch(0)), 4)
    [fault] = census.verify(archive)
    assert not fault.serious and "leftover" in fault.what
    compact.compact(archive, now=LATER)
    assert census.verify(archive) == [] and archived(archive) == batch(0)


def test_a_replay_after_a_crash_replaces_what_it_left(
    spark: SparkSession, archive: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [record(n, seconds=n * 2000) for n in range(5)]  # over several hours
    with monkeypatch.context() as patch:
        patch.setattr(Log, "commit", crash)
        with pytest.raises(KeyboardInterrupt):
            hdfs.append(archive)(frame(spark, made), 3)
    hdfs.append(archive)(frame(spark, made), 3)
    assert archived(archive) == made == by_spark(spark, archive)
    assert census.verify(archive) == []


def test_a_single_file_is_lines_of_json_and_one_journal(spark: SparkSession, archive: Files) -> None:
    write = single_file.append(archive, PATH)
    for number in range(3):
        write(frame(spark, batch(number)), number)
    assert json.loads(archive.read(PATH).splitlines()[0])["value"] == "0 0"
    assert len(archive.list("kafka_demo/_tweets_data.json")) == 1


def test_a_single_file_of_somebody_else_is_left_as_it_is(spark: SparkSession, archive: Files) -> None:
    archive.write(PATH, b"precious\n")
    with pytest.raises(MillraceError, match=r"tweets_data.json holds 9 bytes that no job of millrace wrote"):
        single_file.append(archive, PATH)(frame(spark, batch(0)), 0)
    assert archive.read(PATH) == b"precious\n"
    assert archive.list("kafka_demo/_tweets_data.json") == []


def test_a_single_file_that_was_cut_is_not_written_on(spark: SparkSession, archive: Files) -> None:
    single_file.append(archive, PATH)(frame(spark, batch(0)), 0)
    archive.write(PATH, archive.read(PATH)[:-10])
    with pytest.raises(MillraceError, match="its journal says"):
        single_file.append(archive, PATH)(frame(spark, batch(1)), 1)
