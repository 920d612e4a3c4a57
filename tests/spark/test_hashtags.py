import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.testing import assertDataFrameEqual
from tests.social import Story
from tests.spark.conftest import RECORDS

from millrace.kafka import parse
from millrace.queries import hashtags
from millrace.queries.hashtags import hashtag_counts
from millrace.sinks import console

SCHEMA = "source STRING, event_time TIMESTAMP, operation STRING, hashtags ARRAY<STRING>"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def posts(spark, *rows):
    return spark.createDataFrame(list(rows), SCHEMA)


def test_counts_per_source_window_and_hashtag(spark):
    given_posts = posts(
        spark,
        ("bluesky", at(0), "create", ["cat", "dog"]),
        ("bluesky", at(59.999), "create", ["cat", "cat", "cat ", " "]),
        ("bluesky", at(60), "create", ["cat"]),
        ("mastodon", at(1), "create", ["cat"]),
        ("bluesky", at(2), "create", []),
        ("bluesky", at(2), "update", ["cat"]),
        ("bluesky", at(2), "delete", ["cat"]),
        ("bluesky", at(2), "metrics", ["cat"]),
    )
    counted = hashtag_counts(given_posts)
    assert counted.columns == ["source", "window_start", "window_end", "hashtag", "posts"]
    expected = spark.createDataFrame(
        [
            ("bluesky", at(0), at(60), "cat", 2),
            ("bluesky", at(0), at(60), "dog", 1),
            ("bluesky", at(60), at(120), "cat", 1),
            ("mastodon", at(0), at(60), "cat", 1),
        ],
        counted.schema,
    )
    assertDataFrameEqual(counted, expected)


def test_sliding_windows(spark):
    counted = hashtag_counts(posts(spark, ("bluesky", at(150), "create", ["cat"])), "5 minutes", "1 minute")
    starts = sorted(row.window_start.astimezone(UTC) for row in counted.collect())
    assert starts == [at(-120), at(-60), at(0), at(60), at(120)]


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["bluesky", "mastodon"]),
        st.integers(0, 600_000),
        st.sampled_from(["create", "update", "delete"]),
        st.lists(st.sampled_from(["cat", "Cat", "cat  ", " cat", "  ", "", "café", "cafe", "🐈", "猫"]), max_size=4),
    ),
    max_size=40,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize(
    ("window", "slide"), [("1 minute", None), ("5 minutes", "1 minute"), ("10 seconds", "2.5 seconds")]
)
@given(events=EVENTS)
def test_folding_batches_gives_the_same_counts(spark, window, slide, events):
    rows = [(source, at(ms / 1000), operation, tags) for source, ms, operation, tags in events]
    plain = hashtag_counts(posts(spark, *rows), window, slide)
    records = spark.createDataFrame([(json_post(*row), row[1]) for row in rows], "value BINARY, timestamp TIMESTAMP")
    fast = hashtags.count_uses(parse.folded(records, hashtags.fold(window, slide)), window, slide)
    assert Counter(map(tuple, fast.collect())) == Counter(map(tuple, plain.collect()))


def json_post(source, time, operation, tags):
    fields = {
        "id": "i",
        "event_id": "e",
        "source": source,
        "event_time": time.isoformat(),
        "operation": operation,
    }
    return bytearray(json.dumps(fields | {"hashtags": tags}).encode())


def test_a_stream_counts_what_a_batch_counts(spark, tmp_path):
    rows = [("bluesky", at(i * 5), "create", [f"tag{i % 5}"]) for i in range(100)]
    folder = tmp_path / "in"
    for part in range(4):
        posts(spark, *rows[part::4]).coalesce(1).write.parquet(str(folder / f"p{part}"))
    stream = spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 1).parquet(f"{folder}/*")
    table: dict[tuple, int] = {}

    def upsert(batch, _):
        table.update({tuple(row)[:4]: row.posts for row in batch.collect()})

    query = hashtag_counts(stream).writeStream.outputMode("update").trigger(availableNow=True)
    query.option("checkpointLocation", str(tmp_path / "c")).foreachBatch(upsert).start().awaitTermination(120)
    assert table == {tuple(row)[:4]: row.posts for row in hashtag_counts(posts(spark, *rows)).collect()}
    assert sum(table.values()) == 100


def test_a_stream_shown_on_the_console_goes_on(spark, tmp_path, capsys):
    posts(spark, *[("bluesky", at(i), "create", [f"tag{i}"]) for i in range(50)]).write.parquet(str(tmp_path / "in"))
    stream = hashtag_counts(spark.readStream.schema(SCHEMA).parquet(str(tmp_path / "in")))
    query = stream.writeStream.outputMode("update").trigger(availableNow=True).foreachBatch(console.show(rows=1))
    query.option("checkpointLocation", str(tmp_path / "c")).start().awaitTermination(120)
    assert capsys.readouterr().out.count("tag") == 2  # the column's name and one row


def test_hashtags_of_each_post(spark):
    story = Story(seed=12)
    frame = spark.createDataFrame(story.records(), RECORDS)
    rows = hashtags.post_hashtags(parse.posts(frame, hashtags.PER_POST)).collect()
    edits = [event for event in story.events if event["operation"] == "update"]
    tagged = [post for post in story.created() if post["hashtags"]]
    expected = Counter((event["id"], tuple(event["hashtags"]), len(event["hashtags"])) for event in [*tagged, *edits])
    assert Counter((row.id, tuple(row.hashtags), row.hashtag_count) for row in rows) == expected
    assert min(len(edits), len(tagged)) > 20
    assert all(row.observed_at for row in rows) and any(row.created_at for row in rows)
