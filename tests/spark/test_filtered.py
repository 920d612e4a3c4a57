import pytest
from tests.social import Story
from tests.spark.conftest import RECORDS

from millrace.kafka import parse
from millrace.queries.filtered import COLUMNS, filtered

CHOICES = {
    "all": ({}, lambda post: True),
    "language": ({"languages": ["EN", "pt"]}, lambda post: post["language"] in ("en", "en-US", "pt-BR")),
    "no prefix of a tag": ({"languages": ["p", "d"]}, lambda post: False),
    "keyword": ({"keywords": ["news", "猫"]}, lambda post: "news" in post["text"].lower() or "猫" in post["text"]),
    "capital keyword": ({"keywords": ["NEWS"]}, lambda post: "news" in post["text"].lower()),
    "hostile keyword": ({"keywords": ["%", "_", ".*", "'; --"]}, lambda post: False),
    "bots": ({"bots": True}, lambda post: post["author"]["bot"]),
    "people": ({"bots": False}, lambda post: not post["author"]["bot"]),
    "all at once": (
        {"languages": ["en"], "keywords": ["mill"], "bots": False},
        lambda post: post["language"] in ("en", "en-US") and "mill" in post["text"] and not post["author"]["bot"],
    ),
}


@pytest.mark.parametrize("choice", CHOICES)
def test_what_is_kept(spark, choice):
    wanted, fits = CHOICES[choice]
    story = Story(seed=10)
    kept = filtered(parse.posts(spark.createDataFrame(story.records(), RECORDS), COLUMNS), **wanted)
    assert tuple(kept.columns) == COLUMNS
    changes = [event for event in story.events if event["operation"] in ("create", "update")]
    expected = {event["event_id"] for event in changes if fits(event)}
    assert {row.event_id for row in kept.collect()} == expected
    assert expected or choice in ("no prefix of a tag", "hostile keyword")


def test_a_stream_keeps_what_a_batch_keeps(spark, streamed):
    story, found = Story(seed=11, count=100), []
    records = story.records(story.disturbed())

    def keep(rows):
        return filtered(parse.posts(rows, COLUMNS), ["en"], bots=False)

    streamed(records, keep, lambda batch: found.extend(batch.collect()), mode="append")
    assert sorted(found) == sorted(keep(spark.createDataFrame(records, RECORDS)).collect())
    assert len(found) > 10
