from datetime import UTC

import pytest
from tests.social import Story
from tests.spark.conftest import RECORDS

from millrace.kafka import parse
from millrace.queries.dashboard import COLUMNS, dashboard


def by_minute(rows):
    return {
        row.window_start.astimezone(UTC): (row.posts, row.authors, row.bots, row.top_language)
        for row in rows
        if row.posts
    }


def right(story):
    """The story's answer; authors are few, so the approximation is exact."""
    return story.dashboard()


def test_a_batch(spark):
    story = Story(seed=8)
    frame = spark.createDataFrame(story.records(), RECORDS)
    rows = dashboard(parse.posts(frame, COLUMNS)).collect()
    assert by_minute(rows) == right(story)
    averages = {start: average for start, (_, average, _) in story.windows().items()}
    assert {row.window_start.astimezone(UTC): pytest.approx(row.average_score) for row in rows} == averages
    assert any(row.bots for row in rows) and len(rows) > 5


def test_a_stream_with_repeats_and_disorder(streamed):
    story, found = Story(seed=9), {}

    def once(rows):
        known = parse.posts(rows, (*COLUMNS, "event_id")).withWatermark("event_time", "10 minutes")
        return dashboard(known.dropDuplicatesWithinWatermark(["event_id"]))

    streamed(story.records(story.disturbed()), once, lambda batch: found.update(by_minute(batch.collect())))
    assert found == right(story)


def test_a_minute_of_revisits_has_no_posts(spark):
    story = Story(count=1)
    revisit = story.events[0] | {"operation": "metrics", "favourites": 4, "reblogs": 0, "replies": 0}
    [row] = dashboard(parse.posts(spark.createDataFrame(story.records([revisit]), RECORDS), COLUMNS)).collect()
    assert (row.posts, row.authors, row.bots, row.top_language, row.average_score) == (0, 0, 0, None, 4.0)
