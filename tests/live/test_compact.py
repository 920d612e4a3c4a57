"""Compaction on a folder and on real HDFS: the same records in fewer files, wherever it is killed."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests.archived import LATER, NOON, archived, by_spark, frame, record, three_batches

from millrace.archive import census, compact
from millrace.archive.files import Files, Status
from millrace.archive.log import Log
from millrace.sinks.archive import writer as sink


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


def test_a_batch_that_is_committed_while_leftovers_are_looked_for_stays(
    spark: SparkSession, archive: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, late = three_batches(spark, archive), [record(90 + n) for n in range(3)]
    walk = census.walk

    def walked(*arguments: Any) -> Iterator[Status]:
        yield from walk(*arguments)
        monkeypatch.setattr(census, "walk", walk)
        entries.pop()()

    entries: list[Callable[[], None]] = []
    commit = Log.commit
    with monkeypatch.context() as patch:
        patch.setattr(Log, "commit", lambda log, entry, state: entries.append(lambda: commit(log, entry, state)))
        sink.append(archive)(frame(spark, late), 3)
    monkeypatch.setattr(census, "walk", walked)
    compact.compact(archive, now=NOON)
    assert not entries
    assert archived(archive) == sorted(made + late) and census.verify(archive) == []


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
