"""What `millrace archive verify` finds, on a folder and on real HDFS."""

import pytest
from pyspark.sql import SparkSession
from tests.archived import LATER, TOPIC, frame, record, three_batches

from millrace.archive import census, compact, files
from millrace.archive.files import Files
from millrace.archive.log import Log
from millrace.errors import MillraceError
from millrace.sinks.archive import writer as sink


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
