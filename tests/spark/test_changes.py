"""Debezium's envelopes become changes, each with its place; what is none says why."""

import json
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession

from millrace.kafka.changes import changes
from millrace.kafka.places import BEYOND

RECORDS = (
    "key BINARY, value BINARY, topic STRING, partition INT, offset BIGINT, "
    "headers ARRAY<STRUCT<key: STRING, value: BINARY>>"
)
PLACE = ("generation", "streamed", "commit", "lsn")


def envelope(op: str, after: Any = None, before: Any = None, **source: Any) -> bytes:
    known = {"schema": "public", "table": "t", "lsn": 5, "sequence": '["4","5"]', "snapshot": "false", "ts_us": 1}
    return json.dumps({"before": before, "after": after, "op": op, "source": known | source}).encode()


def read(spark: SparkSession, *values: bytes | None, headers: dict[str, bytes] | None = None) -> list[Row]:
    told = [(name, bytearray(value)) for name, value in (headers or {}).items()] or None
    rows = [(None, value and bytearray(value), "cdc.public.t", 0, place, told) for place, value in enumerate(values)]
    return sorted(changes(spark.createDataFrame(rows, RECORDS)).collect(), key=lambda row: row.offset)


def test_kinds_and_places(spark: SparkSession) -> None:
    rows = read(
        spark,
        envelope("c", {"id": 1}),
        envelope("d", None, {"id": 1}),
        envelope("t"),
        envelope("r", {"id": 2}, snapshot="first", sequence='[null,"3"]'),
        envelope("r", {"id": 2}, snapshot="incremental", lsn=None, sequence='["7","8"]'),
        headers={"generation": b"3"},
    )
    assert [row.kind for row in rows] == ["row", "gone", "emptied", "row", "row"]
    assert [row.row for row in rows] == ['{"id":1}', '{"id":1}', None, '{"id":2}', '{"id":2}']
    assert [tuple(row[name] for name in PLACE) for row in rows] == [
        *[(3, True, 4, 5)] * 3, (3, False, 0, 3), (3, True, 7, 8)
    ]  # fmt: skip
    assert all(row.table == "public.t" and row.reason is None and row.value is None for row in rows)


def test_a_generation_has_ended_with_its_last_row_or_what_is_streamed(spark: SparkSession) -> None:
    states = ("first", "true", "last_in_data_collection", "last", "incremental")
    rows = read(spark, *(envelope("r", {"id": 1}, snapshot=state) for state in states), envelope("u", {"id": 1}))
    assert [row.ended for row in rows] == [False, False, False, True, True, True]


def test_values_may_be_left_out_where_a_row_was_there_before(spark: SparkSession) -> None:
    whole = read(spark, envelope("c", {"id": 1}), envelope("r", {"id": 1}), envelope("u", {"id": 1}, {"id": 1, "a": 1}))
    assert [(row.partial, row.before) for row in whole] == [(False, None), (False, None), (False, '{"id":1,"a":1}')]
    assert read(spark, envelope("u", {"id": 1}))[0].partial
    [moved] = read(spark, envelope("c", {"id": 2}), headers={"__debezium.oldkey": b'{"id":1}'})
    assert moved.partial and moved.old_key == '{"id":1}'


def test_digits_and_text_are_as_they_were(spark: SparkSession) -> None:
    row = {"big": 9223372036854775807, "exact": "1.10", "tiny": 5e-324, "text": 'é"\\\n\u2028🎉', "none": None}
    assert json.loads(read(spark, envelope("c", row))[0].row) == row


def test_tombstones_are_left_out(spark: SparkSession) -> None:
    assert read(spark, None) == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "no JSON object"),
        (b"null", "no JSON object"),
        (b"[1]", "no JSON object"),
        (b'{"op": "c"', "no JSON object"),
        (b"\xff\xfe", "no JSON object"),
        (b'{"a": 1}', "no change of Debezium"),
        (b'{"schema": {}, "payload": {"op": "c"}}', "value.converter.schemas.enable=false"),
        (envelope("x", {"id": 1}), "no change of Debezium"),
        (envelope("m"), "no change of Debezium"),
        (envelope("c"), "no row"),
        (envelope("d", {"id": 1}), "no row"),
        (envelope("c", {"id": 1}, table=None), "names no table"),
        (envelope("c", {"id": 1}, lsn=None, sequence=None), "no LSN"),
        (envelope("c", {"id": 1}, sequence=f'["1","{BEYOND}"]'), "LSN is out of range"),
        (envelope("c", {"id": 1}, sequence='["-1","1"]'), "LSN is out of range"),
    ],
)
def test_what_is_no_change_says_why(spark: SparkSession, value: bytes, reason: str) -> None:
    [row] = read(spark, value)
    assert reason in row.reason and bytes(row.value) == value and row.row is None and row.table is None


def test_a_generation_out_of_range_is_none(spark: SparkSession) -> None:
    [row] = read(spark, envelope("c", {"id": 1}), headers={"generation": b"16384"})
    assert "generation is out of range" in row.reason
