"""The single file of JSON lines, on a folder and through pydoop on real HDFS: each batch once, whatever happens."""

import json
from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests.archived import BODIES, TOPIC, frame, record

from millrace.archive import records
from millrace.archive.files import Files
from millrace.archive.records import Record
from millrace.errors import MillraceError
from millrace.sinks import single_file
from millrace.sinks.single_file import Journal

PATH = "kafka_demo/tweets_data.json"


def held(archive: Files) -> list[Record]:
    """Return the records of the file, line by line."""
    return [records._of_line(line) for line in archive.read(PATH).splitlines()]


def batch(number: int, size: int = 5) -> list[Record]:
    return [record(number * size + n, f"{number} {n}".encode()) for n in range(size)]


def test_single_file_holds_every_record_as_it_came(spark: SparkSession, archive: Files) -> None:
    made = [record(offset, body) for offset, body in enumerate(BODIES)]
    write = single_file.append(archive, PATH)
    write(frame(spark, made), 0)
    write(frame(spark, batch(9)), 1)
    assert held(archive) == made + batch(9)
    assert json.loads(archive.read(PATH).splitlines()[0])["value"] == "plain"


def test_single_file_takes_a_batch_once(spark: SparkSession, archive: Files) -> None:
    write = single_file.append(archive, PATH)
    for number in (0, 0, 1, 1):
        write(frame(spark, batch(number)), number)
    single_file.append(archive, PATH)(frame(spark, batch(1)), 1)
    assert held(archive) == batch(0) + batch(1)
    assert len(archive.list("kafka_demo/_tweets_data.json")) == 1


@pytest.mark.parametrize("before", [0, 1])
def test_single_file_loses_what_a_crash_left(
    spark: SparkSession, archive: Files, before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(before):
        single_file.append(archive, PATH)(frame(spark, batch(number)), number)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "save", crash)
        with pytest.raises(KeyboardInterrupt):
            single_file.append(archive, PATH)(frame(spark, batch(before)), before)
    assert len(held(archive)) == 5 * (before + 1)
    single_file.append(archive, PATH)(
        frame(spark, batch(before, 3)), before
    )  # cut differently, after a lost checkpoint
    assert held(archive) == [*(batch(0) if before else []), *batch(before, 3)]


def test_single_file_stops_at_another_writer(spark: SparkSession, archive: Files) -> None:
    write = single_file.append(archive, PATH, read=lambda *_: {TOPIC: {0: (0, 5)}})
    write(frame(spark, batch(0)), 0)
    with pytest.raises(MillraceError, match="another writer"):
        write(frame(spark, batch(0)), 1)
    assert held(archive) == batch(0)


def test_single_file_that_was_cut_is_not_written_on(spark: SparkSession, archive: Files) -> None:
    single_file.append(archive, PATH)(frame(spark, batch(0)), 0)
    archive.write(PATH, archive.read(PATH)[:-10])
    with pytest.raises(MillraceError, match="its journal says"):
        single_file.append(archive, PATH)(frame(spark, batch(1)), 1)


def crash(*_: Any) -> None:
    raise KeyboardInterrupt
