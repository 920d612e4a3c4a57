"""Tweets in windows: the right texts in the right order, whatever the order of arrival, and the right hashtags."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from pyspark.sql import functions as F

from millrace.queries.tweets import most_used, tweet_windows

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
SCHEMA = "id string, source string, event_time timestamp, operation string, text string, hashtags array<string>"


def tweet(number, seconds, text="", *, tags=(), operation="create", source="tweets"):
    tags = None if tags is None else list(tags)
    return f"{number}", source, NOON + timedelta(seconds=seconds), operation, text or f"text {number}", tags


def rows(found):
    return {(row.source, row.window_start.astimezone(UTC)): row for row in found.collect()}


def test_texts_are_in_the_order_of_event_time_then_id(spark):
    tweets = [tweet(3, 19.9), tweet(2, 5), tweet(1, 5), tweet(4, 20), tweet(5, 0, operation="delete"),
              tweet(6, 1, source="bluesky"), ("7", "tweets", NOON, "create", None, None)]  # fmt: skip
    found = rows(tweet_windows(spark.createDataFrame(tweets, SCHEMA)))
    first = found["tweets", NOON]
    assert (first.tweets, first.content, first.cut) == (4, ["text 1", "text 2", "text 3"], 0)
    assert first.window_end.astimezone(UTC) == NOON + timedelta(seconds=20)
    assert found["tweets", NOON + timedelta(seconds=20)].content == ["text 4"]
    assert found["bluesky", NOON].tweets == 1 and len(found) == 3


def test_of_many_texts_the_first_stay_and_the_others_are_counted(spark):
    tweets = [tweet(f"{number:03}", number / 10) for number in range(100)]
    random.Random(4).shuffle(tweets)
    [row] = tweet_windows(spark.createDataFrame(tweets, SCHEMA).repartition(4), max_texts=7).collect()
    assert (row.tweets, row.cut, row.content) == (100, 93, [f"text {number:03}" for number in range(7)])


def test_a_window_without_texts(spark):
    [row] = tweet_windows(spark.createDataFrame([("1", "tweets", NOON, "create", None, [])], SCHEMA)).collect()
    assert (row.tweets, row.content, row.cut, row.hashtags) == (1, [], 0, [])


def test_the_most_used_hashtags_of_tweets_that_carry_one_twice(spark):
    draw = random.Random(5)
    tweets = [tweet(n, n / 100, tags=draw.choices("abcdefgh", k=3)) for n in range(200)] + [tweet(999, 1, tags=None)]
    [row] = tweet_windows(spark.createDataFrame(tweets, SCHEMA).repartition(3), top=5).collect()
    right = Counter(tag for each in tweets for tag in set(each[5] or ()))
    assert [(each.hashtag, each.tweets) for each in row.hashtags] == sorted(
        right.items(), key=lambda item: (-item[1], item[0])
    )[:5]


@pytest.mark.parametrize("names", [[], ["a"], ["b", "a"], ["a", "b", "b", "c", "c"], ["é", "e", "é"], ["x"] * 500])
def test_most_used(spark, names):
    [row] = spark.range(1).select(most_used(F.lit(names).cast("array<string>"), 2).alias("found")).collect()
    right = sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))[:2]
    assert [(each.hashtag, each.tweets) for each in row.found] == right


def test_a_stream_gives_what_a_batch_gives(spark, tmp_path):
    draw = random.Random(6)
    tweets = [tweet(f"{n:04}", draw.uniform(0, 90), tags=draw.sample("abcdef", 2)) for n in range(600)]
    for part in range(4):
        chosen = spark.createDataFrame(tweets[part::4], SCHEMA)
        chosen.write.parquet(str(tmp_path / f"in/p{part}"))
    source = spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 1).parquet(f"{tmp_path}/in/*")
    found = {}
    query = (
        tweet_windows(source, max_texts=50).writeStream.outputMode("update").trigger(availableNow=True)
        .option("checkpointLocation", str(tmp_path / "c")).foreachBatch(lambda batch, _: found.update(rows(batch)))
        .start()
    )  # fmt: skip
    assert query.awaitTermination(120)
    assert found == rows(tweet_windows(spark.createDataFrame(tweets, SCHEMA), max_texts=50))
    assert len(found) == 5 and all(row.cut > 0 for row in found.values())
