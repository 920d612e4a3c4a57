"""Real input: recorded statuses from Mastodon's API through adapter, Kafka and jobs into Elasticsearch."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from pyspark.sql import SparkSession
from tests.support import Child, run_job

from millrace import config, stack
from millrace.config import Settings
from millrace.simulate.community import Community
from millrace.simulate.mastodon import running
from millrace.sinks.elasticsearch import cluster

RECORDED = Path(__file__).parents[3] / "shared" / "data" / "mastodon-statuses.jsonl"  # where they are at hand
INDICES = ("mastodon-engagement", "mastodon-hashtags")
COUNTERS = ("replies", "reblogs", "favourites")
pytestmark = pytest.mark.skipif(not RECORDED.exists(), reason="the recorded statuses are not here")

Documents = dict[str, dict[str, dict[str, Any]]]  # by index and id


@pytest.fixture(scope="module")
def recorded() -> dict[str, dict[str, Any]]:
    statuses = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    return {status["uri"]: status for status in statuses}


@pytest.fixture(scope="module")
def indexed(
    elasticsearch: Settings, spark: SparkSession, recorded: dict[str, Any], tmp_path_factory: Any
) -> Iterator[Documents]:
    """What the jobs indexed of a topic that holds the recorded statuses alone."""
    home = tmp_path_factory.mktemp("recorded")
    url = elasticsearch.store_url("elasticsearch")
    client = cluster.connect(url)
    client.indices.delete(index=INDICES, ignore_unavailable=True)
    try:
        stack.up(["kafka"], config.load(home=home))
        with (home / "servers.env").open("a") as env:
            env.write(f"MILLRACE_ELASTICSEARCH_URL={url}\n")
        ingest(home, recorded)
        for job in (["engagement"], ["hashtags", "--per-post"]):
            run_job(*job, "--source", "mastodon", "--once", "--home", str(home))
        client.indices.refresh(index=INDICES)
        yield {index: {hit["_id"]: hit["_source"] for hit in hits(client, index)} for index in INDICES}
    finally:
        stack.down(config.load(home=home), data=True)


def ingest(home: Path, recorded: dict[str, Any]) -> None:
    changes = len(recorded) + sum(bool(status.get("edited_at")) for status in recorded.values())
    with running(Community(count=0, speed=0), [*recorded.values()]) as (url, _):
        options = ["--visibility", "public", "--visibility", "unlisted", "--limit", str(changes), "--every", "0.2s"]
        adapter = Child(home, "ingest", "mastodon", "--instance", url, "--home", str(home), *options)
        try:
            assert adapter.ends(60) == 0, adapter.text()
        finally:
            adapter.kill()


def hits(client: Any, index: str) -> list[dict[str, Any]]:
    return client.search(index=index, size=100)["hits"]["hits"]


def test_count_is_that_of_the_statuses(
    elasticsearch: Settings, indexed: Documents, recorded: dict[str, dict[str, Any]]
) -> None:
    url = elasticsearch.store_url("elasticsearch")
    counts = {name: httpx.get(f"{url}/{name}/_count", trust_env=False).json()["count"] for name in INDICES}
    told = [uri for uri, status in recorded.items() if status["tags"] or status.get("edited_at")]
    assert counts == {"mastodon-engagement": len(recorded), "mastodon-hashtags": len(told)}
    assert len(told) >= 2
    print("_count", counts)


def test_engagement_field_by_field(indexed: Documents, recorded: dict[str, dict[str, Any]]) -> None:
    found = indexed["mastodon-engagement"]
    assert found.keys() == recorded.keys()
    for uri, status in recorded.items():
        document = found[uri]
        counters = {name: status[f"{name}_count"] for name in COUNTERS}
        assert {name: document[name] for name in COUNTERS} == counters
        score = 3 * counters["replies"] + 2 * counters["reblogs"] + counters["favourites"]
        assert (document["engagement_score"], document["deleted"]) == (score, False)
        assert (document["id"], document["source"]) == (uri, "mastodon")
        assert (document["author"], document["language"]) == (status["account"]["username"], status["language"])
        assert time(document["created_at"]) == time(status["created_at"])
        assert time(document["event_time"]) == time(status.get("edited_at") or status["created_at"])
        assert time(document["observed_at"]) <= time(document["indexed_at"])


def test_hashtags_field_by_field(indexed: Documents, recorded: dict[str, dict[str, Any]]) -> None:
    for uri, document in indexed["mastodon-hashtags"].items():
        tags = [tag["name"].casefold() for tag in recorded[uri]["tags"]]
        assert (document["hashtags"], document["hashtag_count"]) == (tags, len(tags))
        assert (document["id"], document["source"]) == (uri, "mastodon")
        assert time(document["created_at"]) == time(recorded[uri]["created_at"])
    assert any(document["hashtags"] for document in indexed["mastodon-hashtags"].values())


def time(text: str) -> datetime:
    return datetime.fromisoformat(text)
