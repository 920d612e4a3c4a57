"""A run that is right about windows from a moment on, on every sink that can be told so; and which cannot."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from tests import contract
from tests.contract import QUICK, STORES, Store

from millrace.kafka import results
from millrace.kafka.topics import Topic
from millrace.sinks import registry
from millrace.sinks.registry import SINKS
from millrace.sinks.sink import Target

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FROM = NOON + 2 * MINUTE
MANY = 25_000  # rows that SQL stores load in bulk


@pytest.fixture(params=[name for name, sink in STORES.items() if sink.overwrites])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store of counts in windows, in which a smaller count never replaces a greater one."""
    made = contract.store(request.param, request, tmp_path / "new")
    name = f"windows_{uuid.uuid4().hex[:8]}"
    counts = results.windows(name, name.replace("_", "-"), results.integer("posts"), version="posts")
    made.result = replace(counts, order="posts")
    assert isinstance(made.result.topic, Topic)
    return made


def write(store: Store, rows: DataFrame, overwrite: datetime | None = None) -> None:
    """Write a batch as the first one of a run."""
    target = Target(store.settings, QUICK, overwrite=overwrite)
    registry.writer([store.sink.name], store.result, target)(rows, 0)


def counts(spark: SparkSession, *posts: int) -> DataFrame:
    """A row a minute from noon on."""
    starts = [NOON + number * MINUTE for number in range(len(posts))]
    rows = [("x", start, start + MINUTE, count) for start, count in zip(starts, posts, strict=True)]
    return spark.createDataFrame(rows, "source string, window_start timestamp, window_end timestamp, posts long")


def found(store: Store) -> list[int]:
    assert store.sink.rows
    rows = sorted(store.sink.rows(store.result, store.settings), key=lambda row: row["window_start"])
    return [row["posts"] for row in rows]


def test_a_right_run_makes_counts_smaller_from_a_moment_on(spark: SparkSession, store: Store) -> None:
    write(store, counts(spark, 8, 8, 8, 8))
    write(store, counts(spark, 4, 4, 4, 4))
    assert found(store) == [8, 8, 8, 8]
    write(store, counts(spark, 4, 9, 4, 4), FROM)
    assert found(store) == [8, 9, 4, 4]
    write(store, counts(spark, 4, 4, 3, 4))  # who runs on sees all that there is, or more
    assert found(store) == [8, 9, 4, 4]
    write(store, counts(spark, 8, 9, 4, 5))
    assert found(store) == [8, 9, 4, 5]
    write(store, counts(spark, 1, 1, 2, 2, 2), FROM + MINUTE)  # and once more, about less
    assert found(store) == [8, 9, 4, 2, 2]
    write(store, counts(spark, 1, 1, 1, 1, 1), NOON)
    assert found(store) == [1, 1, 1, 1, 1]


def test_the_newest_of_one_key_in_a_batch_wins_still(spark: SparkSession, store: Store) -> None:
    write(store, counts(spark, 8))
    write(store, counts(spark, 4).union(counts(spark, 5)).union(counts(spark, 3)).coalesce(1), NOON)
    assert found(store) == [5]


def test_big_batches_are_right_too(spark: SparkSession, store: Store) -> None:
    many = MANY // 10 if store.sink.name == "mongodb" else MANY  # its local server reads all for each that is there
    write(store, counts(spark, *[8] * many))
    write(store, counts(spark, *[4] * many), FROM)
    assert found(store) == [8, 8, *[4] * (many - 2)]


@pytest.mark.parametrize("store", ["elasticsearch", "clickhouse"], indirect=True)
def test_a_run_beside_that_began_before_changes_no_window_that_was_made_right(
    spark: SparkSession, store: Store
) -> None:
    beside = registry.writer([store.sink.name], store.result, Target(store.settings, QUICK))
    beside(counts(spark, 8, 8, 8), 0)
    write(store, counts(spark, 4, 4, 4), FROM)
    beside(counts(spark, 9, 9, 9), 1)
    assert found(store) == [9, 9, 4]


def test_each_sink_says_whether_it_can() -> None:
    able = ["sqlite", "postgres", "mysql", "elasticsearch", "mongodb", "clickhouse"]
    assert [name for name, sink in SINKS.items() if sink.overwrites] == able
