"""Windows that a run has not read whole are not written, whatever lacks, and are counted."""

import logging
from datetime import UTC, datetime, timedelta

import pytest

from millrace.spark.whole import QUIET, Lack, whole_windows

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SCHEMA = "source STRING, window_start TIMESTAMP, window_end TIMESTAMP, posts INT"


@pytest.fixture
def written(spark):
    """Write rows of windows through `whole_windows`; returns the minutes after noon at which those written began."""

    def write(lacks, topics=("bluesky-raw-posts",), source="bluesky", length=MINUTE, slide=MINUTE):
        found = []
        writer = whole_windows(lambda batch, _: found.extend(batch.collect()), lambda: lacks, topics)
        starts = [NOON + number * slide for number in range(10)]
        writer(spark.createDataFrame([(source, start, start + length, 1) for start in starts], SCHEMA), 0)
        return [(row.window_start.astimezone(UTC) - NOON) // MINUTE for row in found]

    return write


def lack(start, end, topic="bluesky-raw-posts"):
    begin, until = (None if minutes is None else NOON + timedelta(minutes=minutes) for minutes in (start, end))
    return Lack(topic, begin, until, "a reason")


@pytest.mark.parametrize(
    ("lacks", "left"),
    [
        ([], list(range(10))),
        ([lack(None, 2.5)], [3, 4, 5, 6, 7, 8, 9]),
        ([lack(None, 3)], [3, 4, 5, 6, 7, 8, 9]),
        ([lack(7.5, None)], [0, 1, 2, 3, 4, 5, 6]),
        ([lack(8, None)], [0, 1, 2, 3, 4, 5, 6, 7]),
        ([lack(3.2, 4.1)], [0, 1, 2, 5, 6, 7, 8, 9]),
        ([lack(None, 1.5), lack(8.5, None)], [2, 3, 4, 5, 6, 7]),
        ([lack(None, None)], []),
    ],
)
def test_windows_that_a_lack_touches_are_not_written(written, lacks, left):
    assert written(lacks) == left


def test_a_sliding_window_is_touched_by_what_lacks_anywhere_in_it(written):
    assert written([lack(12.5, None)], length=10 * MINUTE) == [0, 1, 2]


def test_of_several_topics_a_feeds_own_concerns_that_feed_alone(written):
    both = ("bluesky-raw-posts", "Mastodon_stream")
    emptied = [lack(None, 60, "Mastodon_stream")]
    assert written(emptied, both) == list(range(10))
    assert written(emptied, both, source="mastodon") == []
    assert written([lack(None, 60, "foreign")], (*both, "foreign")) == []  # it may hold posts of any source
    assert written(emptied, ("Mastodon_stream",)) == []  # the only topic concerns all


def test_they_are_counted_once_each(spark, caplog):
    asked, seen = [], []
    writer = whole_windows(lambda batch, _: seen.append(batch.count()), lambda: asked.append(1) or [lack(None, 3)], [])
    rows = spark.createDataFrame([("x", NOON, NOON + MINUTE, 1), ("y", NOON, NOON + MINUTE, 2)], SCHEMA)
    later = spark.createDataFrame([("x", NOON + MINUTE, NOON + 2 * MINUTE, 1)], SCHEMA)
    with caplog.at_level(logging.WARNING):
        for batch in (rows, rows, later):
            writer(batch, 0)
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        f"{count} windows are not written, for they were not read whole: a reason" for count in (1, 2)
    ] and asked == [1] and seen == [0, 0, 0]  # fmt: skip
    whole = spark.createDataFrame([("x", NOON + 5 * MINUTE, NOON + 6 * MINUTE, 1)], SCHEMA)
    for _ in range(QUIET + 1):
        writer(whole, 0)
    writer(rows, 0)  # still left out, though nobody counts any more
    assert seen[3:] == [1] * (QUIET + 1) + [0]


def test_rows_without_a_window_are_written(spark):
    seen = []
    whole_windows(lambda batch, _: seen.append(batch.count()), lambda: [lack(None, None)], [])(spark.range(3), 0)
    assert seen == [3]
