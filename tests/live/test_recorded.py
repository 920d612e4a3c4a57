"""Real input: recorded frames of the live service, over the wire, through adapter, Kafka and job into the table."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests.support import MINUTE, RECORDED, Child, Counts, records, run_job, serving, sqlite, stored

from millrace.config import Settings

TOPIC = "bluesky-raw-posts"
POST = "app.bsky.feed.post"
pytestmark = pytest.mark.skipif(not RECORDED.exists(), reason="the recorded frames are not here")


@pytest.fixture(scope="module")
def creates(kafka: Settings, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The frames of posts, all of them created, once the adapter has carried them into Kafka."""
    lines = RECORDED.read_bytes().splitlines()
    posts = [frame for line in lines if (frame := json.loads(line)).get("commit", {}).get("collection") == POST]
    home = tmp_path_factory.mktemp("recorded")
    with serving(lines) as url:
        options = ["--keep-raw", "--limit", str(len(posts)), "--bootstrap", kafka.kafka_bootstrap, "--home", str(home)]
        adapter = Child(home, "ingest", "bluesky", "--url", url, *options)
        assert adapter.ends() == 0, adapter.text()
    assert len(posts) == 9
    return posts


def test_every_post_is_in_kafka_field_by_field(kafka: Settings, creates: list[dict[str, Any]]) -> None:
    found = {post["id"]: post for record in records(kafka.kafka_bootstrap, TOPIC) if (post := json.loads(record.value))}
    for each in creates:
        compare(each, found[f"at://{each['did']}/{POST}/{each['commit']['rkey']}"])


def test_their_hashtags_are_counted(
    kafka: Settings, spark: SparkSession, tmp_path: Path, creates: list[dict[str, Any]]
) -> None:
    run_job("hashtags", "--once", "--bootstrap", kafka.kafka_bootstrap, "--home", str(tmp_path))
    first = datetime.fromtimestamp(creates[0]["time_us"] / 1e6, UTC).replace(second=0, microsecond=0)
    found = {key: posts for key, posts in stored(sqlite(tmp_path)).items() if first <= key[0] <= first + MINUTE}
    assert found == by_hand(creates)
    assert sum(found.values()) >= 2


def compare(sent: dict[str, Any], post: dict[str, Any]) -> None:
    """Each field of the record against the frame's."""
    commit, record = sent["commit"], sent["commit"]["record"]
    event_time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=sent["time_us"])
    tags = [
        feature["tag"].casefold()
        for facet in record.get("facets", [])
        for feature in facet["features"]
        if feature["$type"].endswith("#tag")
    ]
    assert datetime.fromisoformat(post["event_time"]) == event_time
    assert datetime.fromisoformat(post["created_at"]) == datetime.fromisoformat(record["createdAt"])
    assert post["text"] == record["text"]
    assert post["language"] == record["langs"][0]
    assert post["hashtags"] == tags
    assert post["author"]["id"] == sent["did"]
    assert post["event_id"] == f"{sent['did']}/{commit['rkey']}/{commit['rev']}/{commit['operation']}"
    assert post["operation"] == commit["operation"]
    assert post["source_id"] == commit["rkey"]
    assert (post["source"], post["instance"], post["visibility"]) == ("bluesky", "bsky.network", "public")
    assert post["url"] == f"https://bsky.app/profile/{sent['did']}/post/{commit['rkey']}"
    assert json.loads(post["raw"]) == sent


def by_hand(creates: list[dict[str, Any]]) -> Counts:
    """Count the tags of facets, whose spelling in these frames needs nothing but lower case."""
    counts: Counts = Counter()
    for frame in creates:
        minute = datetime.fromtimestamp(frame["time_us"] // 1_000_000, UTC).replace(second=0)
        features = [each for facet in frame["commit"]["record"].get("facets", []) for each in facet["features"]]
        counts.update({(minute, each["tag"].casefold()) for each in features if each["$type"].endswith("#tag")})
    return counts
