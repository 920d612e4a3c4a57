"""Posts through engines into ClickHouse and elsewhere: rows as declared, each distinct text asked about once."""

import json
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from clickhouse_cityhash.cityhash import CityHash64
from pyspark.sql import SparkSession
from tests.posting import NOON, labels, post, rows, topic_of
from tests.support import Job, records, run_job, send, wait

from millrace import config, stack
from millrace.config import Settings
from millrace.demo import labelled
from millrace.kafka.results import SENTIMENT
from millrace.sentiment import counting
from millrace.sentiment.choice import choice
from millrace.sentiment.labelling import Labelling
from millrace.sentiment.relabel import relabel, without_label
from millrace.simulate.llm import Model, running
from millrace.sinks.clickhouse import client
from millrace.sinks.registry import SINKS
from millrace.view import sentiment as page
from millrace.view.stores import Stores

GOOD, BAD, PLAIN = "what a wonderful day", "this is terrible", "the train leaves at nine"


@pytest.fixture
def settings(kafka: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings of jobs of this process: a home of its own, and so an embedded ClickHouse of its own."""
    monkeypatch.setenv("MILLRACE_HOME", str(tmp_path))
    monkeypatch.setenv("MILLRACE_KAFKA_BOOTSTRAP", kafka.kafka_bootstrap)
    monkeypatch.delenv("MILLRACE_CLICKHOUSE_URL", raising=False)
    yield config.load()
    stack.down(config.load(), ["clickhouse"])


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def served(model: Model) -> Iterator[list[str]]:
    """The options that name the double."""
    with running(model) as url:
        yield ["--engine", "ollama", "--model", "double", "--base-url", url]


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    counting.log.addHandler(caplog.handler)
    yield caplog
    counting.log.removeHandler(caplog.handler)


def label(topic: str, *arguments: str) -> None:
    run_job("sentiment", "--topic", topic, "--once", *arguments)


def test_rows_as_people_know_them(spark: SparkSession, settings: Settings) -> None:
    topic = topic_of(settings, [
        post(116, f"{GOOD} #Kafka", hashtags=["kafka", "spark"]),
        post("x", BAD, source_id="at://did/x", author={"id": "b", "username": "bot", "bot": True}),
        post(3, "Das ist schrecklich", language="de"),
        post(4, " \n"),
        post(5, None, author=None, language=None, created_at=None),
        post(6, GOOD, operation="metrics"), post(7, GOOD, operation="delete"),
        (b"broken", 0),
    ])  # fmt: skip
    label(topic)
    url = settings.clickhouse
    kinds = dict(client.connect(url).query("SELECT name, type FROM system.columns WHERE table = 'mastodon_sentiment'"
                                           " ORDER BY position").result_rows)  # fmt: skip
    assert list(kinds.items())[:6] == [
        ("m_id", "Nullable(UInt64)"),
        ("created_at", "Nullable(String)"),
        ("username", "Nullable(String)"),
        ("bot", "Nullable(Bool)"),
        ("mastodon_text", "Nullable(String)"),
        ("sentiment", "Nullable(String)"),
    ]
    assert list(kinds)[6:15] == ["post_id", "score", "language", "model", "prompt_version", "labelled_at", "latency_ms",
                                 "tokens", "error"]  # fmt: skip
    assert labels(url) == {"116": ("positive", None), "x": ("negative", None), "3": (None, "unknown language"),
                           "4": (None, "no text"), "5": (None, "no text")}  # fmt: skip
    found = {row["post_id"].rpartition("/")[2]: row for row in rows(url)}
    assert found["116"]["m_id"] == 116
    assert found["x"]["m_id"] == CityHash64(b"https://a.example/x")
    [(hashed,)] = client.connect(url).query("SELECT cityHash64('https://a.example/x')").result_rows
    assert found["x"]["m_id"] == hashed
    assert [found["x"][name] for name in ("created_at", "username", "bot", "mastodon_text", "hashtags")] == [
        "2026-11-01T12:00:00.000000Z", "bot", True, BAD, None]  # fmt: skip
    assert found["116"]["hashtags"] == "kafka spark" and 0 < found["116"]["score"] <= 1
    assert found["5"]["username"] is None and found["5"]["bot"] is None and found["5"]["created_at"] is None


def test_a_distinct_text_is_asked_about_once(
    spark: SparkSession, settings: Settings, model: Model, served: list[str]
) -> None:
    """In a batch, in later ones, by a new driver, on a replay, whatever the sinks."""
    texts = [f"{GOOD} {n % 20}" for n in range(100)]
    topic = topic_of(settings, [post(n, text, n) for n, text in enumerate(texts)])
    sinks = ["--sink", "clickhouse", "--sink", "sqlite", "--sink", "kafka"]
    label(topic, *served, *sinks, "--max-offsets", "30")
    label(topic, *served, *sinks, "--checkpoint", str(settings.home / "again"))
    assert model.calls == 20 and set(model.texts) == set(texts)
    assert labels(settings.clickhouse) == {str(n): ("positive", None) for n in range(100)}
    stored = {row["post_id"]: row for row in SINKS["sqlite"].rows(SENTIMENT["mastodon"], settings)}
    shown = {row["post_id"]: row for row in rows(settings.clickhouse)}
    assert stored.keys() == shown.keys()
    for name, row in stored.items():
        assert {key: value for key, value in row.items() if not isinstance(value, datetime)} == {
            key: value for key, value in shown[name].items() if not isinstance(value, datetime)
        }
    published = [json.loads(each.value) for each in records(settings.kafka_bootstrap, "mastodon-sentiment")]
    mine = [each for each in published if each["mastodon_text"] in set(texts)]
    assert {each["sentiment"] for each in mine} == {"positive"} and len(mine) >= 200


def test_an_edit_is_labelled_again_and_the_newest_edition_stays(
    spark: SparkSession, settings: Settings, model: Model, served: list[str]
) -> None:
    edits = [post(1, GOOD, 0), post(1, BAD, 60, operation="update"), post(1, PLAIN, 30, operation="update")]
    topic = topic_of(settings, edits)
    label(topic, *served, "--max-offsets", "1")
    assert labels(settings.clickhouse) == {"1": ("negative", None)}
    assert model.calls == 3
    label(topic, *served, "--checkpoint", str(settings.home / "again"))
    assert labels(settings.clickhouse) == {"1": ("negative", None)}
    assert model.calls == 3


def test_a_failure_is_null_with_its_reason_and_is_labelled_later(
    spark: SparkSession, settings: Settings, model: Model, served: list[str]
) -> None:
    model.spoil("refused", only=" 3")
    topic = topic_of(settings, [post(n, f"{GOOD} {n}") for n in range(6)])
    label(topic, *served)
    found = labels(settings.clickhouse)
    assert {name: each for name, each in found.items() if name != "3"} == dict.fromkeys("01245", ("positive", None))
    assert found["3"][0] is None and found["3"][1].startswith("HTTP 400")
    result = SENTIMENT["mastodon"]
    assert without_label(settings.clickhouse, result) == 1
    spec = choice(settings, "ollama", "double", served[-1], concurrency=2, timeout=5)
    labelling = Labelling(spec, settings.clickhouse)
    assert (once := relabel(settings.clickhouse, result, labelling)).labelled == 0 and once.rows == 1
    assert labels(settings.clickhouse) == found
    model.spoil("")
    calls = model.calls
    assert relabel(settings.clickhouse, result, labelling).labelled == 1
    assert labels(settings.clickhouse)["3"] == ("positive", None)
    assert model.calls == calls + 1
    assert relabel(settings.clickhouse, result, labelling).rows == 0
    model.spoil("refused")  # a replay asks nobody, and takes no label away
    label(topic, *served, "--checkpoint", str(settings.home / "again"))
    assert set(labels(settings.clickhouse).values()) == {("positive", None)} and model.calls == calls + 1


def test_relabelling_replaces_no_newer_edition(
    spark: SparkSession, settings: Settings, model: Model, served: list[str]
) -> None:
    model.spoil("refused")
    label(topic_of(settings, [post(1, GOOD)]), *served)
    model.spoil("")
    spec = choice(settings, "ollama", "double", served[-1], concurrency=2, timeout=5)

    class Meanwhile(Labelling):
        """Another edition comes between reading and writing."""

        def label(self, *arguments: object) -> object:
            label(topic_of(settings, [post(1, BAD, 60, operation="update")]), *served)
            return super().label(*arguments)

    found = relabel(settings.clickhouse, SENTIMENT["mastodon"], Meanwhile(spec, settings.clickhouse))
    assert found.labelled == 1
    assert labels(settings.clickhouse) == {"1": ("negative", None)}


def test_posts_beyond_the_budget_of_an_hour_are_told(
    spark: SparkSession, settings: Settings, model: Model, served: list[str], told: pytest.LogCaptureFixture
) -> None:
    topic = topic_of(settings, [post(n, f"{GOOD} {n}") for n in range(30)])
    few = ["--max-posts-per-hour", "7"]
    label(topic, *served, *few, "--max-offsets", "10")
    assert model.calls == 7
    found = list(labels(settings.clickhouse).values())
    assert found.count(("positive", None)) == 7
    assert all(error.startswith("skipped") for sentiment, error in found if sentiment is None)
    assert sum("skipped" in each.getMessage() for each in told.records if each.levelno >= logging.WARNING) >= 2
    label(topic, *served, *few, "--checkpoint", str(settings.home / "again"))  # by a new driver
    assert model.calls == 7
    label(topic, *served, "--checkpoint", str(settings.home / "unlimited"))
    assert model.calls == 30
    assert set(labels(settings.clickhouse).values()) == {("positive", None)}


def test_a_model_that_is_slower_than_the_stream_is_asked_about_a_sample(
    spark: SparkSession, settings: Settings, model: Model, served: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "SAMPLED", 0.5)
    model.latency = 0.2
    topic = topic_of(settings, [post(n, f"{GOOD} {n}") for n in range(60)])
    label(topic, *served, "--on-overload", "sample", "--concurrency", "1")
    found = list(labels(settings.clickhouse).values())
    assert len(found) == 60 and 0 < found.count(("positive", None)) == model.calls < 60
    assert all(error.startswith("skipped") for sentiment, error in found if sentiment is None)


def test_a_post_that_comes_again_is_dropped_where_that_is_asked_for(
    spark: SparkSession, settings: Settings, model: Model, served: list[str]
) -> None:
    topic = topic_of(settings, [post(1, GOOD), post(1, BAD), post(1, PLAIN, 60, operation="update")])
    label(topic, *served, "--deduplicate", "--lateness", "1h")
    assert labels(settings.clickhouse) == {"1": ("neutral", None)} and model.calls == 2


def test_the_views_add_up(spark: SparkSession, settings: Settings) -> None:
    posts = [post(1, GOOD, hashtags=["a", "b"]), post(2, BAD, 61, hashtags=["a"]), post(3, PLAIN, 62), post(4, "")]
    topic = topic_of(settings, [*posts, post(1, BAD, 5, operation="update", hashtags=["c"])])
    label(topic)
    label(topic_of(settings, [post(9, GOOD, hashtags=["a"])]), "--source", "bluesky")
    columns = "source, window_start, positive, neutral, negative, unlabelled, posts, balance"
    windows = [tuple(row.values()) for row in rows(settings.clickhouse, "sentiment_by_window ORDER BY ALL", columns)]
    minute = NOON.replace(tzinfo=None)
    assert windows == [
        ("bluesky", minute, 1, 0, 0, 0, 1, 1.0),
        ("mastodon", minute, 0, 0, 1, 1, 2, -1.0),
        ("mastodon", minute.replace(minute=1), 0, 1, 1, 0, 2, -0.5),
    ]
    columns = "source, hashtag, positive, negative, posts"
    hashtags = [tuple(row.values()) for row in rows(settings.clickhouse, "sentiment_by_hashtag ORDER BY ALL", columns)]
    assert hashtags == [("bluesky", "a", 1, 0, 1), ("mastodon", "a", 0, 1, 1), ("mastodon", "c", 0, 1, 1)]


def test_a_driver_that_is_killed_asks_again_about_a_second_of_texts_at_most(
    settings: Settings, model: Model, served: list[str], tmp_path: Path
) -> None:
    model.latency = 0.1
    topic = topic_of(settings, [post(n, f"{GOOD} {n}") for n in range(150)])
    arguments = ["--topic", topic, "--once", *served, "--concurrency", "1"]
    first = Job("sentiment", settings, tmp_path, *arguments)
    try:
        wait(lambda: model.calls >= 60, "60 questions", first)
    finally:
        first.kill()
    second = Job("sentiment", settings, tmp_path, *arguments)
    assert second.ends() == 0, second.text()
    assert labels(settings.clickhouse) == {str(n): ("positive", None) for n in range(150)}
    assert set(model.texts) == {f"{GOOD} {n}" for n in range(150)}
    assert model.calls <= 150 + 2 * 25  # of two tasks, each with one question at a time of a tenth of a second


def test_page_and_demo_show_the_newest_edition_of_each_post(spark: SparkSession, settings: Settings) -> None:
    topic = topic_of(settings, [
        post(1, BAD, hashtags=["kafka"]), post(2, BAD, 61, hashtags=["kafka"]),
        post(3, "<b>" + PLAIN + "x" * 500, 62), post(4, "gut", 63, language="de"),
        post(5, GOOD, -7200),
    ])  # fmt: skip
    label(topic)
    send(settings.kafka_bootstrap, topic, [post(1, GOOD, 20, operation="update", hashtags=["kafka"])])
    label(topic)
    url = Stores("sqlite", settings.home).labels
    assert url == settings.clickhouse and page.is_used(settings.home) and page.sources(url) == ["mastodon"]
    shares = page.minutes(url, "mastodon")
    assert shares["window_start"].min() == NOON  # a moment: charts take a time without a zone for the reader's own
    assert [group["share"].tolist() for _, group in shares.groupby("window_start")] == [
        [1.0, 0.0, 0.0],
        [0.0, 0.5, 0.5],
    ]
    assert page.hashtags(url, "mastodon")[["hashtag", "posts", "balance"]].values.tolist() == [["kafka", 2, 0.0]]
    newest = page.posts(url, "mastodon")
    assert newest["sentiment"].tolist() == [None, "neutral", "negative", "positive"]
    assert newest["event_time"].max() == NOON + timedelta(seconds=63)
    assert newest["text"].str.len().max() == page.CHARACTERS
    assert page.errors(url, "mastodon").values.tolist() == [["unknown language", 1]]
    lag = page.lag(url, "mastodon")
    assert lag is not None and lag > 0
    found = labelled.look(url, "mastodon_sentiment", NOON.isoformat(), 2)
    assert dict(found["counts"]) == {"positive": 1, "neutral": 1, "negative": 1, None: 1}
    assert [row[1] for row in found["newest"]] == ["neutral", "negative"] and found["reasons"] == [
        ("unknown language", 1)
    ]
    assert labelled.look(url, "bluesky_sentiment", NOON.isoformat(), 2)["counts"] == []
