"""The archive in notebooks, on a folder and on real HDFS: by Spark, and by pandas without Spark and pydoop."""

import json
import sys
from datetime import timedelta

import pytest
from pyspark.sql import SparkSession
from tests.archived import NOON, frame, record
from tests.support import post

from millrace import explore
from millrace.archive.files import Files
from millrace.kafka import times
from millrace.sinks.archive import writer as hdfs

POSTS = "bluesky-raw-posts"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def ids(spark: SparkSession, archive: Files) -> list[str]:
    """The ids of posts, one a minute, archived in two batches with one that is none."""
    ids, made = [f"at://{n}" for n in range(90)], []
    for number in range(90):
        told = record(number, post(str(number), NOON + number * MINUTE, ["cat"]), number * 60)
        made.append(told._replace(topic=POSTS))
    bad = record(90, b"nonsense", 60)._replace(topic=POSTS)
    write = hdfs.append(archive)
    write(frame(spark, made[:40]), 0)
    write(frame(spark, [*made[40:], bad]), 1)
    return ids


def test_posts_by_spark(ids: list[str]) -> None:
    rows = explore.archive(POSTS).orderBy("event_time").select("id", "event_time", "hashtags").collect()
    assert [row.id for row in rows] == ids
    assert {tuple(row.hashtags) for row in rows} == {("cat",)}


def test_posts_by_pandas(ids: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydoop", None)  # it cannot be imported
    found = explore.archived(POSTS)
    assert list(found["id"]) == ids and list(found["hashtags"][3]) == ["cat"]
    start, end = NOON.replace(tzinfo=None) + 30 * MINUTE, NOON.replace(tzinfo=None) + 70 * MINUTE
    assert list(explore.archived(POSTS, start, end)["id"]) == ids[30:70]
    assert list(explore.archived(POSTS, start, limit=5)["id"]) == ids[30:35]


def test_other_topics_as_text(spark: SparkSession, archive: Files) -> None:
    made = [record(n, json.dumps({"n": n}).encode()) for n in range(3)]
    hdfs.append(archive)(frame(spark, made), 0)
    by_spark = explore.archive(made[0].topic).orderBy("offset").collect()
    by_pandas = explore.archived(made[0].topic)
    right = [(f'{{"n": {n}}}', 0, n) for n in range(3)]
    assert [(row.value, row.partition, row.offset) for row in by_spark] == right
    assert list(by_pandas[["value", "partition", "offset"]].itertuples(index=False, name=None)) == right
    assert list(by_pandas["timestamp"]) == [times.moment(each.timestamp) for each in made]
