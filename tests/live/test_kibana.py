"""The dashboards of docker/kibana against what the jobs index: every field is there, and every chart has data."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from pyspark.sql import SparkSession
from tests.social import Story, moment
from tests.support import new_topic, now, producer, run_job, window

from millrace.config import Settings
from millrace.kafka.topics import SOURCES
from millrace.sinks.elasticsearch import cluster
from millrace.sinks.elasticsearch.indices import INDICES

FOLDER = Path(__file__).parents[2] / "docker" / "kibana"
OBJECTS = [json.loads(line) for file in FOLDER.glob("*.ndjson") for line in file.read_text().splitlines()]
VIEWS = {each["id"]: each["attributes"] for each in OBJECTS if each["type"] == "index-pattern"}
CHARTS = [each for each in OBJECTS if each["type"] == "lens"]
JOBS = (  # to the default sinks, where these write there
    ["engagement"],
    ["hashtags", "--per-post"],
    ["languages"],
    *(["sentiment", "--source", name, "--sink", "elasticsearch"] for name in SOURCES),
)
OPERATIONS = {"sum": "sum", "average": "avg", "max": "max", "min": "min"}  # of Kibana and of Elasticsearch


@pytest.fixture(scope="module")
def story() -> Story:
    return Story(start=window(now()) - timedelta(minutes=20), count=600, seed=41)


@pytest.fixture(scope="module")
def client(
    kafka: Settings, elasticsearch: Settings, spark: SparkSession, story: Story, tmp_path_factory: Any
) -> Elasticsearch:
    """Elasticsearch with what the jobs wrote of a story, which is all that their indices hold."""
    url = elasticsearch.store_url("elasticsearch")
    client = cluster.connect(url)
    client.indices.delete(index=[*INDICES], ignore_unavailable=True)
    topic = new_topic(kafka.kafka_bootstrap)
    with producer(kafka.kafka_bootstrap) as writer:
        for event in story.events:
            at = round(moment(event).timestamp() * 1000)
            writer.send(topic, json.dumps(event).encode(), key=event["id"].encode(), timestamp_ms=at)
    home = tmp_path_factory.mktemp("kibana")
    (home / "servers.env").write_text(f"MILLRACE_ELASTICSEARCH_URL={url}\n")
    where = ["--topic", topic, "--bootstrap", kafka.kafka_bootstrap, "--home", str(home)]
    for name, *options in JOBS:
        run_job(name, *options, *where, "--once")
    client.indices.refresh(index=[*INDICES])
    return client


def view(chart: dict[str, Any]) -> dict[str, Any]:
    return VIEWS[chart["references"][0]["id"]]


def columns(chart: dict[str, Any]) -> dict[str, dict[str, Any]]:
    [layer] = chart["attributes"]["state"]["datasourceStates"]["formBased"]["layers"].values()
    return layer["columns"]


def test_the_jobs_index_what_the_story_says(client: Elasticsearch, story: Story) -> None:
    def every(index: str) -> list[dict[str, Any]]:
        return [hit["_source"] for hit in client.search(index=index, size=10_000)["hits"]["hits"]]

    assert {row["id"]: row["engagement_score"] for row in every("mastodon-engagement")} == story.scores()
    counted = {(row["window_start"], row["language"]): row["posts"] for row in every("language-counts")}
    told = {
        (f"{start:%Y-%m-%dT%H:%M:%S.000000Z}", tag): posts for (start, tag), posts in story.counts("language").items()
    }
    assert counted == told
    assert sum(row["readings"] for row in every("engagement-windows")) == sum(n for n, *_ in story.windows().values())
    tagged = {post["id"] for post in story.created() if post["hashtags"]}
    edited = {event["id"] for event in story.events if event["operation"] == "update"}
    assert {row["id"] for row in every("mastodon-hashtags")} == tagged | edited


@pytest.mark.parametrize("shown", VIEWS.values(), ids=lambda attributes: attributes["title"])
def test_a_data_view_has_its_time(client: Elasticsearch, shown: dict[str, Any]) -> None:
    found = client.field_caps(index=shown["title"], fields=shown["timeFieldName"])["fields"]
    assert list(found[shown["timeFieldName"]]) == ["date"]


@pytest.mark.parametrize("chart", CHARTS, ids=lambda each: each["id"])
def test_a_chart_has_data(client: Elasticsearch, chart: dict[str, Any]) -> None:
    """The request that Kibana would make, buckets within buckets, over the hours that the dashboard shows."""
    fields = {column["sourceField"] for column in columns(chart).values()} - {"___records___"}
    index, time = view(chart)["title"], view(chart)["timeFieldName"]
    for field in fields:
        [kind] = client.field_caps(index=index, fields=field)["fields"][field].values()
        assert kind["aggregatable"]
    found = client.search(index=index, size=0, aggs=request(chart), query={"range": {time: {"gte": "now-24h"}}})
    assert filled(found["aggregations"]), found


def request(chart: dict[str, Any]) -> dict[str, Any]:
    """Return the aggregations of a chart: metrics on every level, for buckets are put in order by them."""
    found = columns(chart)
    metrics = {name: aggregation(column) for name, column in found.items() if not column["isBucketed"]}
    inner = metrics
    for name in reversed([name for name, column in found.items() if column["isBucketed"]]):
        inner = metrics | {name: aggregation(found[name]) | {"aggs": inner}}
    return inner


def aggregation(column: dict[str, Any]) -> dict[str, Any]:
    field, kind = column["sourceField"], column["operationType"]
    if kind == "terms":
        order = column["params"]["orderBy"]["columnId"]
        return {"terms": {"field": field, "size": column["params"]["size"], "order": {order: "desc"}}}
    if kind == "date_histogram":
        return {"date_histogram": {"field": field, "fixed_interval": "1m"}}
    return {"value_count": {"field": "_index"}} if kind == "count" else {OPERATIONS[kind]: {"field": field}}


def filled(found: dict[str, Any]) -> bool:
    """Whether there is a number in every metric, in some bucket of every level."""
    ends = [each for each in found.values() if isinstance(each, dict)]
    buckets = [each["buckets"] for each in ends if "buckets" in each]
    return all(any(map(filled, each)) for each in buckets) and all(each["value"] for each in ends if "value" in each)
