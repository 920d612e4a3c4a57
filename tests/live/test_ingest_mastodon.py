"""The Mastodon adapter as a process: from its double into Kafka, through kills and faults, to its end."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support import Child, records, wait

from millrace.config import Settings
from millrace.ingest.committed import last_cursor
from millrace.simulate.community import Community, Posts
from millrace.simulate.mastodon import running

TOPIC = "Mastodon_stream"


@pytest.fixture
def adapter(kafka: Settings, tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """Start adapters that do not outlive the test."""
    started: list[Child] = []

    def start(url: str, *options: str, instance: str = "--instance") -> Child:
        place = ["--bootstrap", kafka.kafka_bootstrap, "--home", str(tmp_path)]
        started.append(Child(tmp_path, "ingest", "mastodon", instance, url, *place, *options))
        return started[-1]

    yield start
    for each in started:
        each.kill()


def uris(sent: Community) -> set[str]:
    return {post.uri for post in map(Posts(sent).at, range(sent.count or 0)) if not post.broken}


def found(settings: Settings, wanted: set[str], operation: str = "create") -> Counter[str]:
    posts = (json.loads(record.value) for record in records(settings.kafka_bootstrap, TOPIC))
    return Counter(post["id"] for post in posts if post["id"] in wanted and post["operation"] == operation)


@pytest.mark.parametrize("options", [["--every", "0.2s"], ["--stream", "public", "--watchdog", "5"]])
def test_everything_once_through_kills_and_faults(options: list[str], kafka: Settings, adapter) -> None:
    faults = {"broken_answers": 0.05, "duplicates": 0.2, "delayed": 0.0, "drop_every": 200}
    sent = Community(seed=71 + len(options), rate=80, count=1000, speed=1, limit=100_000, edited=0.0, **faults)
    wanted = uris(sent)
    with running(sent) as (url, instance):
        child = adapter(url, "--since", "1h", *options)
        for share in (200, 500):
            wait(lambda share=share: len(found(kafka, wanted)) >= share, f"{share} posts", child)
            child.kill()
            child = adapter(url, *options)
        wait(lambda: len(found(kafka, wanted)) == len(wanted), "all posts", child)
        assert child.stop() == 0, child.text()
    assert found(kafka, wanted) == Counter(wanted)
    assert instance.calls["forbidden"] == 0
    cursor = last_cursor(kafka.kafka_bootstrap, "mastodon")
    assert cursor is not None and f"{url}/api/v1/timelines/public" in cursor.places


def test_records_carry_the_contract_and_the_other_spellings_work(kafka: Settings, adapter) -> None:
    sent = Community(seed=81, speed=0, count=60, rate=5)
    with running(sent) as (url, _):
        child = adapter(
            url, "--public", "--enableKafka", "--quiet", "--since", "1h", "--limit", "60", instance="--baseURL"
        )
        assert child.ends(60) == 0, child.text()
    assert child.text().strip() == "ready"
    seen, wanted = 0, uris(sent)
    for record in records(kafka.kafka_bootstrap, TOPIC):
        post, headers = json.loads(record.value), dict(record.headers)
        if post["id"] not in wanted:
            continue
        seen += 1
        assert record.key.decode() == post["id"]
        assert (headers["schema"], headers["event_id"].decode()) == (b"post.v1", post["event_id"])
        assert record.timestamp == datetime.fromisoformat(post["event_time"]).timestamp() * 1000
    assert seen == 60


def test_a_restart_goes_on_with_revisits_that_are_pending(kafka: Settings, adapter) -> None:
    """Posts of half an hour ago, one every 5 s: the first are due soon, and no page shows them to the second run."""
    start = datetime.now(UTC) - timedelta(minutes=30)
    sent = Community(seed=85, speed=0, count=60, rate=0.2, start=start, edited=0.0)
    due = ["--revisit", "1825s"]
    with running(sent) as (url, _):
        assert adapter(url, "--since", "1h", "--limit", "60", *due).ends(60) == 0
        assert not found(kafka, uris(sent), "metrics")
        child = adapter(url, *due)
        child.says("are remembered")
        wait(lambda: len(found(kafka, uris(sent), "metrics")) >= 2, "revisits", child, 120)
        assert child.stop() == 0, child.text()
    oldest = [Posts(sent).at(index).uri for index in range(len(found(kafka, uris(sent), "metrics")))]
    assert found(kafka, uris(sent), "metrics") == Counter(oldest)


def test_a_bad_token_ends_with_one_clear_line(adapter) -> None:
    with running(Community(seed=91, token="right")) as (url, _):
        child = adapter(url)
        assert child.ends(60) == 2
    assert "this needs an access token; set MILLRACE_MASTODON_ACCESS_TOKEN" in child.text()
    assert "Traceback" not in child.text()


def test_posts_are_printed_without_kafka(adapter) -> None:
    with running(Community(seed=95, speed=0, count=100, rate=5, tagged=1.0)) as (url, _):
        child = adapter(url, "--tag", "nowplaying", "--print", "--limit", "3")
        assert child.ends(60) == 0, child.text()
    posts = [json.loads(line) for line in child.out.read_text().splitlines()]
    assert len(posts) == 3
    assert all("nowplaying" in post["hashtags"] for post in posts)
