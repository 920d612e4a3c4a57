"""Posts are labelled while the model's server errs in every way: the stream goes on, and labels come again."""

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import SecretStr
from tests.posting import labels, post
from tests.proxy import Proxy, through
from tests.support import Child, Job, new_topic, producer, wait

from millrace.config import Settings
from millrace.kafka.results import SENTIMENT
from millrace.simulate.http import Answer, Asked
from millrace.simulate.llm import WIRES, Model, running
from millrace.sinks.clickhouse import client
from millrace.sinks.registry import SINKS

AGAIN = 60  # seconds after a fault's end within which labels come again
IN_A_ROW = 30  # posts: texts are dealt to the tasks at random, and each task has a circuit breaker of its own
FAULTS = {  # of the double, and the reason that posts have meanwhile
    "slow": "timeout",
    "limited": "HTTP 429",
    "html": "not an answer: <!DOCTYPE",
    "prose": "no label: I would say",
    "truncated": "truncated: length",
}
PATHS = {"ollama": "", "openai": "/v1"}


@dataclass
class Witness(Model):
    """A double that also counts how often each text was answered rightly."""

    right: Counter[str] = field(default_factory=Counter)

    async def answer(self, asked: Asked) -> Answer | None:
        fault = self.fault
        found = await super().answer(asked)
        if asked.path in WIRES and not fault:
            self.right[orjson.loads(asked.body)["messages"][-1]["content"]] += 1
        return found


def text(number: int) -> str:
    """Return the text of a post: that of an odd one is that of one a second before."""
    return f"a good day, number {number - number % 2 * 21}"


@dataclass
class Feed:
    """Posts at a steady pace, of which each text comes twice; `sent` counts them."""

    bootstrap: str
    topic: str
    sent: int = 0

    @contextmanager
    def flowing(self) -> Iterator["Feed"]:
        """Send twenty a second until the end of the block; all are stored then."""
        end = threading.Event()
        thread = threading.Thread(target=self._flow, args=(end,))
        thread.start()
        try:
            yield self
        finally:
            end.set()
            thread.join()

    def _flow(self, end: threading.Event) -> None:
        with producer(self.bootstrap) as writer:
            while not end.wait(0.05):
                value, moment = post(self.sent, text(self.sent), self.sent / 20)
                writer.send(self.topic, value, timestamp_ms=moment).get(30)
                self.sent += 1


@dataclass
class Run:
    """The job on a feed; its model, and the address of its tables. Faults last `seconds` after they have shown."""

    model: Witness
    feed: Feed
    job: Job
    url: str
    seconds: float

    @contextmanager
    def failing(self, fault: str, reason: str) -> Iterator[None]:
        """Err during the block, which begins when posts have `reason` for no label, until labels come again."""
        first = self.feed.sent
        self.model.spoil(fault)
        self.shows(reason)
        yield
        threading.Event().wait(self.seconds)  # the fault itself
        last = self.feed.sent
        self.model.spoil("")
        self.labels_again()
        assert {each for each in self.reasons(first, last) if reason not in each} == set()

    def shows(self, reason: str) -> None:
        """Wait for a post that is sent from now on and has no label for this reason."""
        first = self.feed.sent
        wait(lambda: any(reason in each for each in self.reasons(first)), f"post with {reason!r}", self.job)

    def labels_again(self) -> None:
        """Wait until each of some posts in a row that are sent from now on has a label: no task stands back then."""
        first = self.feed.sent

        def known() -> bool:
            labelled = {number for number, label, _ in self.posts() if label and number >= first}
            return any(labelled.issuperset(range(number, number + IN_A_ROW)) for number in labelled)

        wait(known, "labels again", self.job, AGAIN)

    def reasons(self, first: int, last: float = float("inf")) -> set[str]:
        """Return why posts from `first` to before `last` have no label."""
        return {error or "" for number, label, error in self.posts() if not label and first <= number < last}

    def posts(self) -> list[tuple[int, str | None, str | None]]:
        """Return number, label and reason of each post that has a row."""
        return [(int(name), *told) for name, told in labels(self.url).items()]


@pytest.mark.parametrize(
    ("engine", "seconds"),
    [
        ("ollama", 0),
        pytest.param("ollama", 60, marks=pytest.mark.faults),
        pytest.param("openai", 60, marks=pytest.mark.faults),
    ],
)
def test_the_server_of_the_model_errs_in_every_way(
    *,
    engine: str,
    seconds: float,
    clickhouse: Settings,
    tmp_path: Path,
    begin: Callable[..., Any],
    proxy: Callable[[str, int], Proxy],
) -> None:
    """Slow, limiting, talking nonsense, away; ClickHouse away, too. `relabel` labels what has no label then."""
    url = f"{clickhouse.clickhouse}/sentiment_{uuid.uuid4().hex[:8]}"
    client.connect(clickhouse.clickhouse).command(f"CREATE DATABASE {url.rpartition('/')[2]}")
    store, detour = through(url, proxy)
    model, topic = Witness(), new_topic(clickhouse.kafka_bootstrap)
    with running(model) as served:
        link, address = through(served, proxy)
        asked = ["--engine", engine, "--model", "double", "--base-url", address + PATHS[engine], "--timeout", "2s"]
        options = ["--topic", topic, *asked, "--trigger", "0s", "--sink", "clickhouse", "--sink", "sqlite"]
        job = begin(Job, "sentiment", clickhouse, tmp_path, *options, MILLRACE_CLICKHOUSE_URL=detour)
        with Feed(clickhouse.kafka_bootstrap, topic).flowing() as feed:
            job.has_read(1)
            run = Run(model, feed, job, url, seconds)
            run.labels_again()
            for fault, reason in FAULTS.items():
                with run.failing(fault, reason):
                    pass
            with run.failing("dead", "server away"):
                link.cut()
                run.shows("server away: ClientConnectorError")
                link.restore()
            store.cut()
            threading.Event().wait(max(seconds, 10))  # the outage itself
            store.restore()
            run.labels_again()
        here = clickhouse.model_copy(update={"home": tmp_path, "clickhouse_url": SecretStr(url)})
        whole = lambda: len(found := stored("sqlite", here)) == feed.sent and found == stored("clickhouse", here)  # noqa: E731
        wait(whole, "row of each post, the same in both sinks", job)
        assert job.stop() == 0, job.text()
        assert run.reasons(0)
        told = Child(tmp_path, "sentiment", "relabel", "--errors", *asked, MILLRACE_CLICKHOUSE_URL=url)
        assert told.ends() == 0 and "0 still not" in told.text(), told.text()
    assert labels(url) == {str(number): ("positive", None) for number in range(feed.sent)}
    assert model.right == dict.fromkeys(map(text, range(feed.sent)), 1)  # none was asked again once it had a label


def stored(sink: str, settings: Settings) -> dict[str, dict[str, Any]]:
    """Return the rows of a sink by post; SQLite has milliseconds of UTC."""
    found = SINKS[sink].rows(SENTIMENT["mastodon"], settings)
    return {row["post_id"]: {name: _rounded(value) for name, value in row.items()} for row in found}


def _rounded(value: Any) -> Any:
    if not isinstance(value, datetime):
        return value
    return value.replace(microsecond=value.microsecond // 1000 * 1000)
