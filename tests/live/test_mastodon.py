"""Mastodon from end to end: the double, the adapter, Kafka, all seven analyses; each equals what the double knows.

The double repeats statuses, drops the stream, answers 500, shows posts late, edits and deletes them, and its counters
jump at an age between the first look and the revisit; so every answer is exact.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from tests.live.test_social import at, query
from tests.support import now, records, run_job

from millrace import config, stack
from millrace.applications.mastodon import KNOWN as ANALYSES
from millrace.applications.mastodon import choosing
from millrace.config import Settings
from millrace.ingest import command
from millrace.ingest.mastodon.plan import Plan
from millrace.ingest.run import Options
from millrace.kafka import parse, read
from millrace.kafka.results import FILTERED, POST_HASHTAGS
from millrace.kafka.topics import MASTODON
from millrace.queries import authors, counts, dashboard, engagement, filtered, hashtags, languages
from millrace.simulate import mastodon
from millrace.simulate.community import Community

AGO, REVISIT = timedelta(minutes=8), timedelta(minutes=8.5)  # so the revisits, soon from now, have windows apart
FAULTS = {"duplicates": 0.2, "drop_every": 150, "broken_answers": 0.05, "malformed": 0.02, "delayed": 0.05}
Rows = list[dict[str, Any]]


@dataclass
class Told:
    """What the double knows, and the home whose stores the jobs filled."""

    home: Path
    settings: Settings
    began: datetime
    lines: Rows

    def of(self, analysis: str) -> Rows:
        return [line for line in self.lines if line.get("analysis") == analysis]

    def counted(self, analysis: str, name: str = "") -> Counter[Any]:
        named = [name] if name else []
        return Counter(
            {(at(line["window_start"]), *(line[key] for key in named)): line["posts"] for line in self.of(analysis)}
        )

    def hashtags(self) -> Counter[Any]:
        return Counter({(at(line["window_start"]), line["hashtag"]): line["posts"] for line in self.lines
                        if "hashtag" in line})  # fmt: skip

    def published(self, topic: str) -> Rows:
        return [json.loads(record.value) for record in records(self.settings.kafka_bootstrap, topic)]

    def rows(self, spark: SparkSession) -> DataFrame:
        return parse.posts(read.batch(spark, self.settings.kafka_bootstrap, [MASTODON.name]))


@pytest.fixture(scope="module")
def told(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Fill a topic of its own through the adapter, and all stores from it: seven analyses in one application."""
    home = tmp_path_factory.mktemp("mastodon")
    try:
        stack.up(["kafka"], config.load(home=home))
        settings, began = config.load(home=home), now()
        sent = Community(seed=404, rate=40, count=600, speed=5, start=began - AGO, limit=100_000, tagged=0.5,
                         edited=0.15, deleted=0.15, settled=120.0, **FAULTS)  # fmt: skip
        with mastodon.running(sent) as (url, instance):
            lines = list(mastodon.truth(sent, 600))
            plan = Plan((url,), stream="public", since=3600.0, revisit=(REVISIT.total_seconds(),))
            command.mastodon(settings, Options(limit=happenings(lines), seconds=240, watchdog=20), plan)
        assert instance.calls["forbidden"] == 0
        chosen = choosing(*ANALYSES.values())
        run_job("mastodon", *chosen, "--once", "--home", str(home), "--language", "de", "--no-bots",
                "--max-offsets", "500", "--lateness", "1h")  # fmt: skip
        run_job("mastodon", "--mode", "stream", "--analysis", "full", "--once", "--home", str(home), "--name", "full")
        yield Told(home, settings, began, lines)
    finally:
        stack.down(config.load(home=home), data=True)


def happenings(lines: Rows) -> int:
    """How many records that makes: each post, its edit, and its end or the revisit."""
    posts = [line for line in lines if line.get("analysis") == "posts"]
    return sum(2 + line["edited"] for line in posts)


def test_every_happening_is_in_the_topic_once(told: Told) -> None:
    found = told.published(MASTODON.name)
    assert Counter(Counter(post["event_id"] for post in found).values()).keys() == {1}
    operations = Counter(post["operation"] for post in found)
    posts = told.of("posts")
    gone = sum(post["deleted"] for post in posts)
    assert operations == {"create": len(posts), "update": sum(post["edited"] for post in posts), "delete": gone,
                          "metrics": len(posts) - gone}  # fmt: skip
    assert (
        len({record.value for record in records(told.settings.kafka_bootstrap, "dead-letters")})
        == told.lines[0]["malformed"]
        > 0
    )


def test_engagement(told: Told) -> None:
    """Of each post the counters of its revisit, none of one that was deleted."""
    columns = ("replies", "reblogs", "favourites", "engagement_score", "deleted")
    found = {name: rest for name, *rest in query(told.home, f"SELECT id, {', '.join(columns)} FROM post_engagement")}
    assert found == {line["id"]: [line[name] for name in columns] for line in told.of("posts")}
    newest = {row["id"]: row["engagement_score"] for row in sorted(told.published("mastodon-engagement"), key=observed)}
    assert newest == {line["id"]: line["engagement_score"] for line in told.of("posts")}


def observed(row: dict[str, Any]) -> str:
    return str(row["observed_at"])


def test_engagement_windows(told: Told) -> None:
    """Nobody had reacted when posts and edits were first seen; the revisits all lie in later windows."""
    rows = query(told.home, "SELECT window_start, readings, average_score, max_score FROM engagement_windows")
    check_readings(told, [(at(start), *rest) for start, *rest in rows])


def check_readings(told: Told, rows: list[tuple[Any, ...]]) -> None:
    early = [row for row in rows if row[0] < told.began - timedelta(minutes=1)]
    assert {(start,): readings for start, readings, _, _ in early} == told.counted("readings")
    assert {(average, most) for *_, average, most in early} == {(0.0, 0.0)}
    late = [row for row in rows if row not in early]
    scores = [line["engagement_score"] for line in told.of("posts") if not line["deleted"]]
    assert sum(readings for _, readings, _, _ in late) == len(scores)
    assert sum(readings * average for _, readings, average, _ in late) == pytest.approx(sum(scores))
    assert max(most for *_, most in late) == max(scores)


@pytest.mark.parametrize(
    ("analysis", "name"), [("languages", "language"), ("authors", "author"), ("counts", "")], ids=str
)
def test_counts(told: Told, analysis: str, name: str) -> None:
    table = f"{name or 'post'}_counts"
    rows = query(told.home, f"SELECT window_start, {name + ',' if name else ''} posts FROM {table}")
    assert Counter({(at(start), *names): posts for start, *names, posts in rows}) == told.counted(analysis, name)


def test_hashtags(told: Told) -> None:
    rows = query(told.home, "SELECT window_start, hashtag, posts FROM hashtag_counts")
    assert Counter({(at(start), tag): posts for start, tag, posts in rows}) == told.hashtags()
    newest = {row["id"]: row for row in sorted(told.published(POST_HASHTAGS.topic.name), key=observed)}
    wanted = {line["id"]: line["hashtags"] for line in told.of("posts") if line["hashtags"] or line["edited"]}
    assert {name: sorted(row["hashtags"]) for name, row in newest.items()} == wanted


def test_dashboard(told: Told) -> None:
    rows = query(
        told.home, "SELECT window_start, posts, authors, bots, top_language FROM dashboard_windows WHERE posts"
    )
    check_minutes(told, [(at(start), *rest) for start, *rest in rows])


def check_minutes(told: Told, rows: list[tuple[Any, ...]]) -> None:
    right = {at(line["window_start"]): line for line in told.of("dashboard")}
    assert {row[0] for row in rows} == right.keys()
    for start, posts, writers, bots, top in rows:
        line = right[start]
        assert (posts, bots, top) == (line["posts"], line["bots"], line["top_language"])
        assert writers == pytest.approx(line["authors"], rel=0.15)  # approximate: 5 % standard deviation


def test_filtered(told: Told) -> None:
    wanted = Counter({line["id"]: 1 + line["edited"] for line in told.of("posts") if line["language"] == "de"
                      and not line["bot"]})  # fmt: skip
    assert len(wanted) > 10
    assert Counter(post["id"] for post in told.published(FILTERED.topic.name)) == wanted


TALLIES: dict[str, tuple[Callable[[DataFrame], DataFrame], str]] = {
    "languages": (languages.language_counts, "language"),
    "authors": (authors.author_counts, "author"),
    "counts": (counts.post_counts, ""),
}


def test_all_as_a_batch(told: Told, spark: SparkSession) -> None:
    """The same functions over the topic as it stands."""
    posts = told.rows(spark)
    for analysis, (tally, name) in TALLIES.items():
        found = {(utc(row), *([row[name]] if name else [])): row.posts for row in tally(posts).collect()}
        assert Counter(found) == told.counted(analysis, name), analysis
    assert (
        Counter({(utc(row), row.hashtag): row.posts for row in hashtags.hashtag_counts(posts).collect()})
        == told.hashtags()
    )
    scored = sorted(engagement.post_engagement(posts).collect(), key=lambda row: row.observed_at)
    assert {row.id: row.engagement_score for row in scored} == {
        line["id"]: line["engagement_score"] for line in told.of("posts")
    }
    rows = engagement.engagement_windows(posts).collect()
    check_readings(told, [(utc(row), row.readings, row.average_score, row.max_score) for row in rows])
    rows = [row for row in dashboard.dashboard(posts).collect() if row.posts]
    check_minutes(told, [(utc(row), row.posts, row.authors, row.bots, row.top_language) for row in rows])
    kept = filtered.filtered(posts, ["de"], bots=False).collect()
    assert Counter(row.event_id for row in kept) == Counter(
        post["event_id"] for post in told.published(FILTERED.topic.name)
    )


def utc(row: Any) -> datetime:
    return row.window_start.astimezone(UTC)
