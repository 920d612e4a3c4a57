"""What the command line's options make of a feed that was read before."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from millrace import config
from millrace.ingest import command
from millrace.ingest.events import SECOND, Cursor, Gap
from millrace.ingest.mastodon.plan import read
from millrace.ingest.run import Options
from millrace.simulate.community import Community, Posts
from millrace.simulate.mastodon import running
from tests.unit.test_mastodon_feed import Sink

HOURS = 3600 * SECOND


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Sink:
    """The sink that the command writes to instead of Kafka, which remembers no posts."""
    made = Sink()
    monkeypatch.setattr(command, "KafkaSink", lambda *_, **__: made)
    monkeypatch.setattr(command, "recall", lambda *_: 0)
    return made


@pytest.fixture
def ingest(tmp_path: Path) -> Callable[[str], None]:
    def begin(url: str, since: str | None) -> None:
        settings = config.load(home=tmp_path, mastodon_url=url)
        command.mastodon(settings, Options(limit=60, seconds=60), read(instances=[url], since=since), quiet=True)

    return begin


@pytest.mark.parametrize("since", ["1h", None])
def test_since_does_not_throw_a_committed_place_away(since: str | None, sink: Sink, ingest: Callable) -> None:
    sent = Community(seed=3, count=60, rate=0.01, speed=0, delayed=0.0, edited=0.0, limit=100_000,
                     start=datetime.now(UTC) - timedelta(hours=4))  # fmt: skip
    ago = time.time_ns() // 1000 - 5 * HOURS
    with running(sent) as (url, _):
        sink.committed = Cursor(url, ago, ago, places={f"{url}/api/v1/timelines/public": ago})
        ingest(url, since)
    assert set(sink.ids()) == {Posts(sent).at(number).uri for number in range(60)}
    assert [item for item in sink.items if isinstance(item, Gap)] == []


def test_since_is_where_a_timeline_begins_that_has_no_place_yet(sink: Sink, ingest: Callable) -> None:
    now = time.time_ns() // 1000
    sent = Community(seed=3, count=61, rate=0.1, speed=0, delayed=0.0, edited=0.0, limit=100_000,
                     start=datetime.now(UTC) - timedelta(hours=1, seconds=2))  # fmt: skip
    with running(sent) as (url, _):
        sink.committed = Cursor(url, now, now, places={f"{url}/api/v1/timelines/tag/other": now})
        ingest(url, "1h")
    assert len(sink.ids()) == 60
    assert Posts(sent).at(0).uri not in sink.ids()  # two seconds too old
