"""The counts over what the simulator of Bluesky sends, in disorder and through the adapter, against its own events."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from tests.social import NOON

from millrace.ingest.bluesky import posts as bluesky
from millrace.ingest.events import Event
from millrace.kafka import parse
from millrace.queries import authors, counts, languages
from millrace.simulate.jetstream import encode
from millrace.simulate.posts import Events
from millrace.simulate.scenario import EPOCH, Scenario

ANALYSES = {
    "language": (languages, 60, lambda event: (event.body["record"].get("langs", ["und"])[0],)),
    "author": (authors, 60, lambda event: (event.did,)),
    None: (counts, 10, lambda event: ()),
}


@pytest.fixture(scope="module")
def events():
    scenario = Scenario(seed=4, rate=10, count=1500, start=NOON, speed=0, shuffle=45)
    made = Events(scenario)
    return [made.at(index) for index in range(scenario.count)]


@pytest.mark.parametrize("name", ANALYSES, ids=str)
def test_every_post_counts_once(streamed, events, name):
    module, seconds, names = ANALYSES[name]
    parsed = [bluesky.parse(encode(event, v2=False)[0], events[-1].time_us) for event in events]
    records = [
        (bytearray(p.value), EPOCH + timedelta(microseconds=p.event_time)) for p in parsed if isinstance(p, Event)
    ]
    created = [event for event in events if event.kind == "create"]
    right = Counter((event.time_us // 10**6 // seconds * seconds, *names(event)) for event in created)
    found: dict[tuple, int] = {}

    def store(batch):
        named = [name] if name else []
        starts = [(int(row.window_start.astimezone(UTC).timestamp()), row) for row in batch.collect()]
        found.update({(start, *(row[key] for key in named)): row.posts for start, row in starts})

    streamed(
        records,
        lambda rows: module.count(parse.folded(rows, module.fold()).withWatermark("event_time", "10 minutes")),
        store,
    )
    assert found == right
    assert len(created) > 900 and min(right)[0] >= datetime.timestamp(NOON) - 60
