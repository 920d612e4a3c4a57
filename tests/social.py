"""A story of posts that are written, edited, looked at again and deleted, and what is right to tell of it.

The answers are counted here one event after another, with no code of millrace.
"""

import json
import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LANGUAGES = ("en", "en", "en-US", "de", "ja", "pt-BR", None)
WORDS = ("Straße", "NEWS from the mill", "猫 🐈", "news", "nothing")
Row = dict[str, Any]


@dataclass
class Story:
    """`count` events from `start` on, `gap` seconds apart; each `observed_at` is later than the one before."""

    start: datetime = NOON
    count: int = 400
    gap: float = 1.0
    seed: int = 1
    source: str = "mastodon"

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)
        self.living: list[Row] = []
        self.events = [self._next(number) for number in range(self.count)]

    def _next(self, number: int) -> Row:
        moment = self.start + timedelta(milliseconds=round(number * self.gap * 1000))
        kind = self.draw.choices(("create", "update", "metrics", "delete"), (6, 1, 3, 1))[0]
        if kind == "create" or not self.living:
            return self._create(number, moment)
        post = self.draw.choice(self.living)
        common = {key: post[key] for key in ("id", "source")}
        fresh = {"event_id": f"{post['id']}/{number}", "operation": kind, **_times(moment)}
        if kind == "delete":
            self.living.remove(post)
            return common | fresh
        if kind == "update" and self.draw.random() < 0.5:  # as Bluesky does: what is new, no counters
            return (
                common | fresh | {"text": "edited", "language": "fr", "hashtags": ["edited"], "author": post["author"]}
            )
        return post | fresh | {name: self.draw.randint(0, 50) for name in ("replies", "reblogs", "favourites")}

    def _create(self, number: int, moment: datetime) -> Row:
        author = self.draw.randint(1, 12)
        post: Row = {
            "id": f"https://mill.example/posts/{self.seed}/{number}",
            "event_id": f"{number}",
            "source": self.source,
            "operation": "create",
            "created_at": moment.isoformat(),
            "author": {"id": f"@{author}@mill.example", "username": f"miller{author}", "bot": author % 4 == 0},
            "language": self.draw.choice(LANGUAGES),
            "text": self.draw.choice(WORDS),
            "hashtags": sorted(self.draw.sample(["cat", "café", "cafe", "news"], self.draw.randint(0, 2))),
            **_times(moment),
        }
        if self.draw.random() < 0.5:
            post |= {"replies": 0, "reblogs": 0, "favourites": self.draw.randint(0, 1)}
        self.living.append(post)
        return post

    def records(self, events: list[Row] | None = None) -> list[tuple[bytearray, datetime]]:
        """Return (value, timestamp) of `events` (default: all), as Kafka holds them."""
        shown = self.events if events is None else events
        return [(bytearray(json.dumps(event).encode()), moment(event)) for event in shown]

    def disturbed(self, within: int = 20) -> list[Row]:
        """Return the events in disorder of at most `within` places, a third of them delivered twice."""
        placed = [(place + self.draw.uniform(0, within), event) for place, event in enumerate(self.events)]
        placed += [
            (place + self.draw.uniform(0, within), event) for place, event in placed if self.draw.random() < 0.33
        ]
        return [event for _, event in sorted(placed, key=lambda pair: pair[0])]

    def scores(self, replies: float = 3, reblogs: float = 2, favourites: float = 1) -> dict[str, float | None]:
        """Return the score of each post at the end: None of one that was deleted."""
        found: dict[str, float | None] = {}
        for event in self.events:
            if event["operation"] == "delete":
                found[event["id"]] = None
            elif (score := reading(event, replies, reblogs, favourites)) is not None:
                found[event["id"]] = score
        return found

    def windows(self, seconds: int = 60) -> dict[datetime, tuple[int, float, float]]:
        """Return readings, average and maximum of each window, by its start."""
        read: defaultdict[datetime, list[float]] = defaultdict(list)
        for event in self.events:
            score = reading(event, 3, 2, 1)
            if score is not None:
                read[floor(moment(event), seconds)].append(score)
        return {start: (len(each), sum(each) / len(each), max(each)) for start, each in read.items()}

    def created(self) -> list[Row]:
        return [event for event in self.events if event["operation"] == "create"]

    def counts(self, by: str | None, seconds: int = 60) -> Counter[tuple[Any, ...]]:
        """Return how many posts were created: by window, or by window and `by` (language or author)."""
        names = {
            "language": lambda post: (post["language"] or "und").partition("-")[0],
            "author": lambda post: post["author"]["id"],
        }
        return Counter((floor(moment(post), seconds), *([names[by](post)] if by else [])) for post in self.created())

    def dashboard(self) -> dict[datetime, tuple[int, int, int, str | None]]:
        """Return posts, distinct authors, posts of bots and the top language of each minute that has posts."""
        minutes: defaultdict[datetime, list[Row]] = defaultdict(list)
        for post in self.created():
            minutes[floor(moment(post), 60)].append(post)
        return {start: _summed(posts) for start, posts in minutes.items()}


def _summed(posts: list[Row]) -> tuple[int, int, int, str | None]:
    languages = Counter(post["language"] for post in posts if post["language"])
    top = min(languages, key=lambda tag: (-languages[tag], tag), default=None)
    bots = sum(post["author"]["bot"] for post in posts)
    return len(posts), len({post["author"]["id"] for post in posts}), bots, top


def _times(moment: datetime) -> Row:
    return {"event_time": moment.isoformat(), "observed_at": (moment + timedelta(milliseconds=7)).isoformat()}


def moment(event: Row) -> datetime:
    return datetime.fromisoformat(event["event_time"])


def floor(time: datetime, seconds: int) -> datetime:
    return datetime.fromtimestamp(time.timestamp() // seconds * seconds, UTC)


def reading(event: Row, replies: float, reblogs: float, favourites: float) -> float | None:
    """Return the score that an event tells, None where it tells none."""
    counters = [event.get("replies"), event.get("reblogs"), event.get("favourites")]
    told = event["operation"] == "create" or any(counter is not None for counter in counters)
    if event["operation"] == "delete" or not told:
        return None
    return sum(weight * (n or 0) for weight, n in zip((replies, reblogs, favourites), counters, strict=True))
