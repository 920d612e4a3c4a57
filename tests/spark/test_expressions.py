import json

from tests.social import Story
from tests.spark.conftest import RECORDS
from tests.unit.test_posts import BAD, GOOD

from millrace.kafka import expressions, parse

MILD = {"two documents", "unread field of wrong type", "time without zone", "lone surrogate"}  # what Spark lets pass


def values(frame, columns):
    return sorted(map(repr, frame.select(*columns).collect()))


def test_the_same_rows_as_the_usual_parser(spark):
    story = Story(seed=13)
    frame = spark.createDataFrame(story.records(), RECORDS)
    assert values(expressions.posts(frame), parse.COLUMNS) == values(parse.posts(frame), parse.COLUMNS)
    assert expressions.posts(frame).columns == parse.posts(frame).columns


def test_bad_records_are_left_out(spark):
    [(_, time)] = Story(count=1).records()
    given = [(bytearray(value), time) for name, value in BAD.items() if value and name not in MILD]
    frame = spark.createDataFrame([*given, (None, time), (bytearray(json.dumps(GOOD).encode()), time)], RECORDS)
    assert [row.id for row in expressions.posts(frame, ["id"]).collect()] == [GOOD["id"]]
    assert len(given) > len(MILD)


def test_an_escaped_backslash_is_no_nul(spark):
    story = Story(count=1)
    frame = spark.createDataFrame(story.records([story.events[0] | {"text": "\\u0000"}]), RECORDS)
    assert json.loads(story.records([{"event_time": "2026-01-01", "text": "\\u0000"}])[0][0])["text"] == "\\u0000"
    assert [row.text for row in expressions.posts(frame, ["text"]).collect()] == ["\\u0000"]
