from datetime import UTC

import pytest
from sqlalchemy import select
from tests.social import Story
from tests.spark.conftest import RECORDS

from millrace.kafka import parse
from millrace.queries.engagement import COLUMNS, WINDOW_COLUMNS, Weights, engagement_windows, post_engagement
from millrace.sinks.sql import database, tables
from millrace.sinks.sql import writer as sql


@pytest.fixture
def stored(tmp_path):
    """A SQLite file with the tables: (writer of post_engagement, what it holds)."""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    tables.create(url)

    def rows():
        engine = database.connect(url)
        with engine.connect() as connection:
            found = connection.execute(select(tables.post_engagement)).all()
        engine.dispose()
        return {row.id: row for row in found}

    return sql.upsert(url, tables.post_engagement), rows


def posts(records, columns=COLUMNS):
    return parse.posts(records, columns)


def test_newest_counters_win_in_a_disturbed_stream(streamed, stored):
    story = Story(seed=2)
    write, rows = stored
    records = story.records(story.disturbed(within=150))
    streamed(records, lambda rows: post_engagement(posts(rows)), lambda batch: write(batch, 0))
    found = rows()
    assert {key: row.engagement_score for key, row in found.items()} == story.scores()
    assert {key for key, row in found.items() if row.deleted} == {key for key, n in story.scores().items() if n is None}
    assert sum(score is None for score in story.scores().values()) > 10
    assert sum((score or 0) > 10 for score in story.scores().values()) > 20


def test_as_a_batch_with_other_weights(spark, stored):
    story = Story(seed=3)
    write, rows = stored
    frame = spark.createDataFrame(story.records(story.disturbed(within=150)), RECORDS)
    write(post_engagement(posts(frame), Weights(replies=0, reblogs=0.5, favourites=10)), 0)
    assert {key: row.engagement_score for key, row in rows().items()} == story.scores(0, 0.5, 10)


def test_what_a_row_tells(spark):
    story = Story(count=1)
    [post] = story.events
    revisit = post | {"operation": "metrics", "event_id": "r", "replies": None, "reblogs": 2, "favourites": 1}
    frame = spark.createDataFrame(story.records([revisit]), RECORDS)
    [row] = post_engagement(posts(frame)).collect()
    assert (row.id, row.source, row.author) == (post["id"], "mastodon", post["author"]["username"])
    assert (row.replies, row.reblogs, row.favourites, row.engagement_score, row.deleted) == (None, 2, 1, 5.0, False)
    assert row.event_time.astimezone(UTC) == story.start


def test_an_edit_without_counters_changes_none(spark):
    story = Story(count=1)
    edit = story.events[0] | {"operation": "update", "replies": None, "reblogs": None, "favourites": None}
    frame = spark.createDataFrame(story.records([edit]), RECORDS)
    assert post_engagement(posts(frame)).count() == 0
    assert engagement_windows(posts(frame, WINDOW_COLUMNS)).count() == 0


def by_window(rows):
    return {
        row.window_start.astimezone(UTC): (row.readings, pytest.approx(row.average_score), row.max_score)
        for row in rows
    }


def test_windows_of_a_stream_with_repeats_and_disorder(streamed):
    story, found = Story(seed=4), {}

    def once(rows):
        known = posts(rows, (*WINDOW_COLUMNS, "event_id")).withWatermark("event_time", "10 minutes")
        return engagement_windows(known.dropDuplicatesWithinWatermark(["event_id"]))

    streamed(story.records(story.disturbed()), once, lambda batch: found.update(by_window(batch.collect())))
    assert story.windows() == found
    assert len(found) > 5


def test_windows_as_a_batch(spark):
    story = Story(seed=4)
    frame = spark.createDataFrame(story.records(), RECORDS)
    assert story.windows() == by_window(engagement_windows(posts(frame, WINDOW_COLUMNS)).collect())
    longer = engagement_windows(posts(frame, WINDOW_COLUMNS), window="5 minutes")
    assert story.windows(300) == by_window(longer.collect())
