"""Timestamps that no clock showed: kept, readable, named where they lie, and in nobody's way."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition

from millrace import explore
from millrace.archive import beyond, census, compact, files, records, replay
from millrace.archive.files import Files
from millrace.archive.left_out import NEVER, LeftOut
from millrace.archive.log import Entry, Log, Part, State
from millrace.archive.records import Record
from millrace.kafka import browse, letters, parse, times
from millrace.spark import failures
from millrace.spark.checkpoint import beginning

NOON = 1_795_348_800_000  # 2026-11-22T12:00Z
LATER = datetime(2026, 11, 24, tzinfo=UTC)
P = TopicPartition("t", 0)
MICROSECONDS = 1_795_348_800_000_000  # noon, by a producer that counts so
ODD = {
    "date=-0249-10-19/hour=19": -69_999_654_400_000,
    "date=1969-12-31/hour=23": -1,  # Kafka's way to say none
    "date=+10000-01-01/hour=00": times.END,
    "date=+58862-05-04/hour=00": MICROSECONDS,
}
HONEST = {"date=2026-11-22/hour=11": NOON - 1, "date=2026-11-22/hour=12": NOON}
HOURS = ODD | HONEST
IN_TIME = sorted(HOURS, key=lambda hour: HOURS[hour])


def keep(place: Files, topic: str, form: str) -> list[Record]:
    """Archive a record of each hour in each of two batches, as Spark names the folders; return them in order."""
    log, made = Log(place, topic), []
    for number in range(2):
        own = [Record(at, 0, number * 10 + n, topic, b"k", b"v", ()) for n, at in enumerate(HOURS.values())]
        parts = [Part(hour, f"a-{number}", form, 1) for hour in HOURS]
        for part, each in zip(parts, own, strict=True):
            name = f"part-0{records.SUFFIXES[form]}"
            place.write(f"source={topic}/{part.folder}/{name}", records.write([each], form))
        log.commit(Entry("a", number, {0: (number * 10, number * 10 + 10)}, parts), log.load())
        made += own
    return sorted(made)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.setenv("MILLRACE_HOME", str(tmp_path))
    (tmp_path / "archive").mkdir()
    return files.at((tmp_path / "archive").as_uri())


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_they_are_kept_in_order_and_the_others_are_compacted(place: Files, form: str) -> None:
    made = keep(place, "a", form), keep(place, "b", form)
    assert list(Log(place, "a").load().hours()) == IN_TIME
    done = compact.compact(place, now=LATER)
    past = [hour for hour in IN_TIME if HOURS[hour] <= NOON]
    assert [(each.topic, each.hour) for each in done] == [(topic, hour) for topic in "ab" for hour in past]
    assert [list(replay.read(place, topic, replay.EVERYTHING)) for topic in "ab"] == [*made]


def test_verify_says_where_they_are(place: Files) -> None:
    keep(place, "t", "jsonl")
    found = census.verify(place)
    assert {each.where for each in found} == set(ODD) and not any(each.serious for each in found)
    assert found[0].what == "2 rows without a time, or of one that no clock showed"


def test_a_span_takes_none_of_them(place: Files) -> None:
    keep(place, "t", "jsonl")
    day = replay.span(datetime(2026, 11, 22), datetime(2026, 11, 23))
    assert {each.timestamp for each in replay.read(place, "t", day)} == set(HONEST.values())
    assert replay.rows(place, "t", day) == 4
    since = replay.span(datetime(2026, 11, 23), None)
    assert {each.timestamp for each in replay.read(place, "t", since)} == {times.END, MICROSECONDS}


class Producer:
    """Takes what is sent, at once."""

    def __init__(self) -> None:
        self.sent: list[int] = []

    def send(self, topic: str, value: bytes, **record: Any) -> Any:
        self.sent.append(record["timestamp_ms"])
        return SimpleNamespace(get=lambda timeout: None)

    def flush(self) -> None:
        pass


def test_a_replay_plays_what_topics_take(place: Files, capsys: pytest.CaptureFixture[str]) -> None:
    """And waits for no year to pass: a millisecond lies between the honest ones."""
    keep(place, "t", "jsonl")
    producer, stop = Producer(), threading.Event()
    found: Iterator[Record] = replay._past(
        replay.read(place, "t", replay.EVERYTHING), LeftOut(State({}, {}, []), None, None)
    )
    sent = replay._send(producer, "t", found, speed=1.0, advance=lambda count: None, stop=stop)  # type: ignore[arg-type]
    assert sent == 8 and producer.sent == sorted(2 * [at for at in HOURS.values() if at <= NOON])
    assert capsys.readouterr().err == (
        "left in the archive: records of the future, which topics refuse: 4, the first t[0] at offset 2, of"
        " +10000-01-01T00:00:00.000Z\n"
    )


def test_pandas_has_them_without_a_time(place: Files) -> None:
    keep(place, "t", "jsonl")
    found = explore.archived("t")
    assert len(found) == 12 and found["timestamp"].isna().sum() == 6
    honest = found[found["timestamp"] > datetime(2000, 1, 1, tzinfo=UTC)]
    assert list(honest["timestamp"].map(pd.Timestamp.timestamp)) == sorted(2 * [at / 1000 for at in HONEST.values()])


@given(st.integers(-9_223_372_036_854_775, 9_223_372_036_854_775))
def test_a_text_gives_the_timestamp_back(at: int) -> None:
    assert times.milliseconds(times.iso(at)) == at


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))
def test_texts_are_those_of_datetime(moment: datetime) -> None:
    at = (moment.replace(tzinfo=UTC) - times.EPOCH) // times.MILLISECOND
    assert times.iso(at) == moment.isoformat(timespec="milliseconds") + "Z"
    assert times.moment(at) == times.EPOCH + timedelta(milliseconds=at)


def test_peek_shows_them() -> None:
    record = SimpleNamespace(topic="t", partition=0, offset=0, timestamp=MICROSECONDS, key=None, value=b"1", headers=())
    assert browse.as_json(record)["timestamp"] == "+58862-05-04T00:00:00.000Z"  # type: ignore[arg-type]


@pytest.mark.parametrize("at", [*ODD.values()])
def test_no_analysis_counts_them(at: int) -> None:
    """A window of the year 58862 would be the newest for ever."""
    told = pa.array([at * 1000, NOON * 1000], pa.timestamp("us", "UTC"))
    decoding = parse.Decoding(pa.record_batch([pa.array([b"{}", b"{}"]), told], names=["value", "timestamp"]))
    assert decoding.bad == 1


def test_a_dead_letter_says_the_time() -> None:
    value = b'{"id": "a", "event_id": "a", "source": "x", "event_time": "2026-11-22T12:00:00Z", "operation": "create"}'
    row = {"topic": "t", "partition": 0, "offset": 5, "value": value, "timestamp": MICROSECONDS}
    assert letters._letter(row | {"timestamp": NOON}) is None
    assert (letters._letter(row) or {})["reason"] == "its timestamp is +58862-05-04T00:00:00.000Z"


def polled(*timestamps: int) -> Any:
    """A reader of a partition with these records."""
    rest = [SimpleNamespace(timestamp=at, offset=offset) for offset, at in enumerate(timestamps)]
    return SimpleNamespace(
        assign=repr,
        seek=lambda place, offset: rest.__delitem__(slice(offset)),
        position=lambda place: len(timestamps) - len(rest),
        poll=lambda **_: {P: [rest.pop(0)]},
    )


@pytest.mark.parametrize("at", ODD.values())
def test_where_a_stream_begins_they_decide_nothing(at: int) -> None:
    """Else no window would be written for ever, or what was not read would count as read."""
    assert beginning._read_from(polled(at, NOON, at), P, 2, 0, 3) == times.counted(NOON + 1)
    assert beginning._read_from(polled(at, NOON, at), P, 0, 1, 3) == times.counted(NOON)
    assert beyond._first(polled(at, NOON, at), P, 0, 3) == times.counted(NOON)


def test_nor_does_one_that_is_to_come() -> None:
    found = beginning._read_from(polled(times.END - 1), P, 1, 0, 1)
    assert found and found <= datetime.now(UTC) + times.AHEAD + times.MILLISECOND


def test_what_a_replay_leaves_out_is_told_by_honest_times() -> None:
    state = State({}, {0: [(0, 1), (2, 5)]}, [])
    left = LeftOut(state, None, None)
    for offset, at in ((0, NOON), (2, -1), (3, NOON + 1000)):
        left.seen(Record(at, 0, offset, "t", None, None, ()))
    left.refused(Record(times.END - 1, 0, 4, "t", None, None, ()))
    noon = datetime.fromtimestamp(NOON / 1000, UTC)
    ends = (times.moment(times.END - 1), NEVER)
    assert left.gaps(None, [], stopped=False) == [(noon, noon + timedelta(seconds=1)), ends]


def test_a_time_that_spark_cannot_hold_is_told_with_its_place() -> None:
    said = "Record at topic t partition 3 offset 10 has timestamp value 9400000000000000 that overflows."
    error = Exception(
        f"Job aborted: org.apache.spark.X: {said}\nEnsure.\n\tat y\nCaused by: java.lang.Y: long overflow"
    )
    assert failures.explain(error, "cp") == f"the stream stopped: {said}; checkpoint: cp"
