"""The contract that every sink of the table keeps, on real servers: a new row of `registry.SINKS` is held to it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests import contract
from tests.contract import NOON, STORES, Store, batch, big_batch, row

from millrace.errors import ConfigError
from millrace.kafka import results
from millrace.sinks.registry import SINKS
from millrace.sinks.sink import Need
from millrace.sinks.together import together

# Each of them is a key of its own, and none is anything but text.
HOSTILE = [
    "cafe", "café", "cafe\u0301", "CAFE", "ß", "ss", "i", "İ", "ı",
    "😀", "😁", "👩‍👩‍👧", "🇩🇪", "مرحبا", "עברית", "\u202eabc", "日本語", "ﷺ", "\U0001f9ff",
    "x'); DROP TABLE contract;--", "`name`", '"name"', "$where", "../..", "%s", "%(name)s", ":name", "?",
    "{0}", "\\", "\\N", "\\n", "a\tb", "a\nb", "a\r\nb", "NULL", "null", "", "\x1b[2J", "#",
    "é" * 300, "😀" * 300,
]  # fmt: skip
upserting = pytest.mark.parametrize("store", [name for name, sink in STORES.items() if not sink.appends], indirect=True)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return contract.store(request.param, request, tmp_path / "new")


def test_every_sink_that_takes_results_and_keeps_them_is_proved() -> None:
    proved = {sink.name for sink in STORES.values()}
    assert proved == {name for name, sink in SINKS.items() if sink.offered and sink.need is not Need.NOTHING}


def test_values_read_back_equal(spark: SparkSession, store: Store) -> None:
    seen = NOON + timedelta(milliseconds=123)
    rows = [
        ("full", 2**63 - 1, Decimal("12345.0000000001"), "text", True, seen),
        ("low", -(2**63), Decimal("-99999.9999999999"), "", False, datetime(1970, 1, 1, tzinfo=UTC)),
        ("none", None, None, None, None, None),
    ]
    store.writer()(batch(spark, *rows), 0)
    found = store.rows()
    assert [tuple(found[name].values()) for name in ("full", "low", "none")] == rows


def test_large_numbers_and_long_texts(spark: SparkSession, store: Store) -> None:
    long = "é😀" * 40_000  # more than VARCHAR or a keyword takes
    rows = [
        ("all", 2**64 - 1, long, NOON),
        ("low", 0, "", NOON),
        ("beyond", 2**63, "a b", NOON),
        ("none", None, None, NOON),
    ]
    kept = store.of(results.unsigned("code", null=True), results.text("text", 0))
    schema = "name string, code decimal(20, 0), text string, observed_at timestamp"
    batch = spark.createDataFrame(
        [(name, None if code is None else Decimal(code), *more) for name, code, *more in rows], schema
    )
    kept.writer()(batch, 0)
    kept.writer()(batch, 1)
    found = kept.rows()
    assert [tuple(found[name].values()) for name, *_ in rows] == rows


def test_hostile_text_is_a_key_like_any_other(spark: SparkSession, store: Store) -> None:
    rows = [row(name, n, note=name) for n, name in enumerate(HOSTILE)]
    store.writer()(batch(spark, *rows), 0)
    assert {name: (found["n"], found["note"]) for name, found in store.rows().items()} == {
        name: (n, name) for n, name in enumerate(HOSTILE) if store.sink.holds(name)
    }


def test_replayed_batch_changes_nothing(spark: SparkSession, store: Store) -> None:
    rows, write = batch(spark, row("a", 1), row("b", 2)), store.writer()
    write(rows, 5)
    before = store.rows()
    write(rows, 5)
    store.writer()(rows, 5)
    assert store.rows() == before
    assert len(before) == 2


def test_later_batch_replaces(spark: SparkSession, store: Store) -> None:
    write = store.writer()
    write(batch(spark, row("a", 1), row("b", 1)), 0)
    write(batch(spark, row("a", 2, seconds=1)), 1)
    assert {name: found["n"] for name, found in store.rows().items()} == {"a": 2, "b": 1}


def test_empty_batch(spark: SparkSession, store: Store) -> None:
    store.writer()(batch(spark), 0)
    assert store.rows() == {}


def test_big_batch(spark: SparkSession, store: Store) -> None:
    store.writer()(big_batch(spark, 50_000), 0)
    found = store.rows()
    assert len(found) == 50_000
    expected = [7, Decimal("12345.678"), None, False, NOON]
    assert list(found["tag\t\\é49999"].values())[1:] == expected


def test_together_with_another(spark: SparkSession, store: Store) -> None:
    seen: list[int] = []
    together(store.writer(), lambda rows, _: seen.append(rows.count()))(batch(spark, row("a"), row("b")), 0)
    assert seen == [2]
    assert set(store.rows()) == {"a", "b"}


def test_missing_column_is_named(spark: SparkSession, store: Store) -> None:
    with pytest.raises(ConfigError, match="name"):
        store.writer()(batch(spark, row("a")).drop("name"), 0)


@upserting
def test_one_key_twice_in_a_batch_keeps_the_newest(spark: SparkSession, store: Store) -> None:
    rows = [row("a", 1, 5), row("a", 2, 9), row("a", 3, 7), row("b", 1), row("b", 2)]
    store.writer()(batch(spark, *rows).coalesce(1), 0)
    assert {name: found["n"] for name, found in store.rows().items()} == {"a": 2, "b": 2}


@upserting
def test_older_never_overwrites_newer(spark: SparkSession, store: Store) -> None:
    write = store.writer()
    write(batch(spark, row("a", 1, seconds=10), row("b", 1, seconds=10)), 0)
    write(batch(spark, row("a", 2, seconds=9, note="old"), row("b", 2, seconds=11)), 1)
    found = store.rows()
    assert (found["a"]["n"], found["a"]["note"], found["a"]["observed_at"]) == (
        1,
        "x",
        NOON + timedelta(seconds=10),
    )
    assert (found["b"]["n"], found["b"]["observed_at"]) == (2, NOON + timedelta(seconds=11))


@upserting
def test_older_never_overwrites_newer_in_big_batches(spark: SparkSession, store: Store) -> None:
    write = store.writer()
    write(batch(spark, row("tag\t\\é7", 1, seconds=1), row("tag\t\\é8", 1, seconds=-1)), 0)
    write(big_batch(spark, 25_000), 1)
    found = store.rows()
    assert (found["tag\t\\é7"]["n"], found["tag\t\\é8"]["n"], len(found)) == (1, 7, 25_000)
