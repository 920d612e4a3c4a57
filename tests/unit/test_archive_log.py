"""The archive's log, spans and pace, without Spark and servers."""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hdfs import HdfsError
from hypothesis import given
from hypothesis import strategies as st

from millrace import config
from millrace.applications import archive as archiving
from millrace.archive import census, files, log, records, replay
from millrace.archive.log import Entry, Log, Part, merge
from millrace.archive.records import Record
from millrace.errors import ConfigError, MillraceError, Unavailable
from millrace.kafka import times

HOUR = "date=2026-11-22/hour=12"
BATCH: Any = SimpleNamespace(sparkSession=None)
FROM_KAFKA = st.integers(
    -9_223_372_036_854_775, 9_223_372_036_854_775
)  # milliseconds, of which Spark makes microseconds


@pytest.fixture
def topic(tmp_path: Path) -> Log:
    return Log(files.at(tmp_path.as_uri()), "t")


def entry(number: int, generation: str = "a", width: int = 10) -> Entry:
    part = Part(HOUR, f"{generation}-{number}", "jsonl", width)
    return Entry(generation, number, {0: (number * width, (number + 1) * width)}, [part])


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 10)).map(lambda pair: (pair[0], sum(pair)))))
def test_merged_ranges_hold_the_same_offsets(ranges: list[tuple[int, int]]) -> None:
    merged = merge(ranges)
    assert {offset for low, high in merged for offset in range(low, high)} == {
        offset for low, high in ranges for offset in range(low, high)
    }
    assert all(one[1] < two[0] for one, two in pairwise(merged))


def test_folding_changes_nothing_that_the_log_says(topic: Log) -> None:
    state = topic.load()
    for number in range(5):
        topic.commit(entry(number), state)
    exchange = Part(HOUR, "compact-0", "jsonl", 30)
    topic.commit(Entry("compact", 0, {}, [exchange], ["a-0", "a-1", "a-2"]), state)
    before = topic.load()
    assert [part.id for part in before.hours()[HOUR]] == ["a-3", "a-4", "compact-0"]
    for _ in range(2):
        topic.fold()
        after = topic.load()
        assert (after.parts, after.offsets) == (before.parts, before.offsets)
        assert after.has("a", 4) and not after.has("a", 5) and not after.has("b", 0)
    assert [each.path for each in topic.files.list(topic.folder)] == ["source=t/_log/base-00000001.json"]
    topic.commit(entry(5), after)
    topic.fold()
    assert topic.load().next() == {0: 60}


def test_an_entry_that_was_folded_does_not_count_again(topic: Log) -> None:
    state = topic.load()
    topic.commit(entry(0), state)
    left = topic.files.read("source=t/_log/a-0.json")
    topic.fold()
    topic.files.write("source=t/_log/a-0.json", left)  # a crash before it was removed
    again = topic.load()
    assert again.parts.keys() == {(HOUR, "a-0")} and again.overlaps == []


def test_offsets_are_taken_once(topic: Log) -> None:
    state = topic.load()
    topic.commit(entry(0), state)
    with pytest.raises(MillraceError, match="another writer has archived them"):
        topic.commit(entry(0, "b"), topic.load())
    with pytest.raises(MillraceError, match="has a-0 already"):
        topic.commit(entry(0), log.State({}, {}, []))
    topic.commit(entry(2), state)
    assert topic.load().gaps() == {0: [(10, 20)]}


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint in a local folder, found without Spark."""
    found = SimpleNamespace(files=files.at(tmp_path.as_uri()))
    monkeypatch.setattr(archiving.place, "at", lambda spark, checkpoint: found)
    return tmp_path


def test_what_a_batch_took_is_read_from_its_checkpoint(checkpoint: Path) -> None:
    (checkpoint / "offsets").mkdir()
    for number, ends in enumerate([{"t": {"0": 5, "1": 0}}, {"t": {"0": 5, "1": 7, "2": 3}}]):
        (checkpoint / "offsets" / str(number)).write_text(f"v1\n{{}}\n{json.dumps(ends)}")
    took = [
        archiving.taken(BATCH, number, checkpoint=str(checkpoint), starts={"t": {"0": 2, "1": 0}}) for number in (0, 1)
    ]
    assert took == [{"t": {0: (2, 5)}}, {"t": {1: (0, 7), 2: (0, 3)}}]


def test_a_planned_first_batch_begins_where_its_checkpoint_says(checkpoint: Path) -> None:
    """Not where a job would begin now, after what another has archived meanwhile."""
    for path, text in {"sources/0/0": '\0v1\n{"t":{"0":0}}', "offsets/0": 'v1\n{}\n{"t":{"0":9}}'}.items():
        (checkpoint / path).parent.mkdir(parents=True)
        (checkpoint / path).write_text(text)
    took = archiving.taken(BATCH, 0, checkpoint=str(checkpoint), starts={"t": {"0": 5}})
    assert took == {"t": {0: (0, 9)}}


def test_a_span_has_what_lies_within() -> None:
    span = replay.span(datetime(2026, 11, 22, 12, 30), datetime(2026, 11, 22, 14, 0))
    hours = [f"date=2026-11-22/hour={hour}" for hour in (11, 12, 13, 14, 15)]
    assert [span.touches(hour) for hour in hours] == [False, True, True, True, False]
    noon = int(datetime(2026, 11, 22, 12, 30, tzinfo=UTC).timestamp() * 1000)
    at = [Record(noon + each, 0, 0, "t", None, None, ()) for each in (-1, 0, 5_400_000 - 1, 5_400_000)]
    assert [span.has(each) for each in at] == [False, True, True, False]


def test_a_span_between_times_of_another_zone() -> None:
    eight = datetime(2026, 11, 22, 20, tzinfo=timezone(timedelta(hours=2)))
    assert replay.span(eight, None).touches("date=2026-11-22/hour=18")
    assert not replay.span(None, eight).touches("date=2026-11-22/hour=19")


def test_the_pace_is_that_of_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    slept: list[float] = []

    def sleep(seconds: float) -> bool:
        nonlocal now
        now += seconds
        slept.append(seconds)
        return False

    monkeypatch.setattr(replay.time, "monotonic", lambda: now)
    replay._keep_pace(25.0, 100.0, 10.0, sleep)
    assert sum(slept) == pytest.approx(2.5) and max(slept) <= 1.0
    replay._keep_pace(25.0, 100.0, 10.0, sleep)
    replay._keep_pace(1e6, 100.0, 0.0, sleep)
    replay._keep_pace(1e6, 100.0, 1.0, lambda _: True)  # asked to stop
    assert sum(slept) == pytest.approx(2.5)


@given(st.lists(st.tuples(st.binary() | st.none(), st.binary() | st.none(), FROM_KAFKA), max_size=20))
def test_files_give_back_what_went_in(bodies: list[tuple[bytes | None, bytes | None, int]]) -> None:
    made = [
        Record(at, 0, offset, "t", key, value, (("h", key), ("", value)) if offset % 2 else ())
        for offset, (key, value, at) in enumerate(bodies)
    ]
    for form in ("jsonl", "parquet"):
        data = records.write(made, form)
        assert list(records._decoded(data, form)) == made
        assert records.count(data, form) == len(made)


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_damaged_file_is_named(tmp_path: Path, form: str) -> None:
    """Wherever the damage is: in the middle of a Parquet file its row count is still right."""
    place = files.at(tmp_path.as_uri())
    made = [Record(1_795_348_800_000 + n, 0, n, "t", b"key", str(n * 7919).encode() * 9, ()) for n in range(5000)]
    data = bytearray(records.write(made, form))
    data[len(data) // 3 : len(data) // 3 + 400] = bytes(400)
    own, part = Log(place, "t"), Part("date=2026-11-22/hour=12", "a-0", form, 5000)
    place.write(path := f"source=t/{part.folder}/part-0{records.SUFFIXES[form]}", bytes(data))
    own.commit(Entry("a", 0, {0: (0, 5000)}, [part]), own.load())
    assert any(path in fault.where and "cannot be read" in fault.what for fault in census.verify(place))
    with pytest.raises(MillraceError, match=f"{path} cannot be read"):
        list(replay.read(place, "t", replay.EVERYTHING))


def test_times_have_six_decimals() -> None:
    line = records._line(Record(1_000, 0, 0, "t", None, None, ()))
    assert line["timestamp"] == "1970-01-01T00:00:01.000000Z"
    assert times.moment(1) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=1)


def test_the_archive_is_a_folder_or_hdfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert config.load(home=tmp_path).archive == f"file://{tmp_path}/archive"
    assert config.load(home=tmp_path, archive_url="hdfs://localhost:9000/a/").archive == "hdfs://localhost:9000/a"
    assert config.load(home=tmp_path, archive_url=f"file://{tmp_path}/x y").archive == f"file://{tmp_path}/x y"
    assert config.load(home=tmp_path, archive_url=f"file:{tmp_path}").archive == tmp_path.as_uri()
    for wrong in ("s3a://bucket/archive", "hdfs:///archive", "file://host/archive", "file:archive"):
        with pytest.raises(ConfigError, match="MILLRACE_ARCHIVE_URL"):
            config.load(home=tmp_path, archive_url=wrong)


@pytest.mark.parametrize("path", ["/tmp/a.json", "../a.json", "a//b", "a/", "", "_a/b", ".a"])
def test_a_single_file_lies_in_the_archive(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = ArgumentParser()
    archiving.ARCHIVE.add(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--single-file", path])
    assert "is no path below the archive" in capsys.readouterr().err


def test_a_folder_that_cannot_be_one_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    place = files.at(f"file://{tmp_path}/file/a")
    for step in (lambda: place.write("b", b""), lambda: place.list(""), lambda: place.read("b")):
        with pytest.raises(MillraceError, match=r"file/a/b?: Not a directory"):
            step()


@pytest.mark.parametrize("name", ["SafeModeException", "StandbyException"])
def test_a_server_that_cannot_yet_is_away(name: str) -> None:
    with pytest.raises(Unavailable, match="cannot yet"), files.at("hdfs://localhost:9000/a")._errors("b"):  # type: ignore[attr-defined]
        raise HdfsError("cannot yet\nmore", exception=name)
