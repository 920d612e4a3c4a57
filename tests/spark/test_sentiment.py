"""The posts whose sentiment is asked for, as rows."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pyspark.sql import DataFrame, Row, SparkSession

from millrace.kafka.parse import COLUMNS, spark_schema
from millrace.queries.sentiment import COLUMNS as READ
from millrace.queries.sentiment import HASHTAGS, editions
from millrace.sentiment.frames import dealt

AT = datetime(2026, 3, 29, 0, 59, 59, 123456, tzinfo=UTC)


def posts(spark: SparkSession, *changes: dict[str, object]) -> DataFrame:
    import pyarrow as pa

    post = {
        **{"id": "https://a.example/1", "source_id": "116616", "created_at": AT, "text": "né\n🐈", "language": "pt_br"},
        **{"author": ("u", " alice ", "A", True), "event_time": AT, "operation": "create", "hashtags": ["a", "b"]},
    }
    rows = [tuple((post | change)[name] for name in READ) for change in changes or ({},)]
    return spark.createDataFrame(rows, spark_schema(pa.schema([(name, COLUMNS[name]) for name in READ])))


def one(spark: SparkSession, **change: object) -> Row:
    [row] = editions(posts(spark, change)).collect()
    return row


def test_a_post(spark: SparkSession) -> None:
    assert one(spark).asDict() == {
        "m_id": Decimal(116616),
        "created_at": "2026-03-29T00:59:59.123456Z",
        "username": "alice",
        "bot": True,
        "mastodon_text": "né\n🐈",
        "post_id": "https://a.example/1",
        "language": "pt-BR",
        "event_time": AT.replace(tzinfo=None),
        "hashtags": "a b",
        "revision": 2 * 1774745999123456,
    }


@pytest.mark.parametrize(
    ("source_id", "number"),
    [("0", 0), (str(2**64 - 1), 2**64 - 1), (str(2**64), None), ("9" * 20, None), ("1" * 21, None), ("-1", None),
     ("1.0", None), ("at://did/x", None), ("٣", None), ("1\n", None), ("", None), (None, None)],
)  # fmt: skip
def test_numeric_ids_alone_are_kept(source_id: str | None, number: int | None, spark: SparkSession) -> None:
    assert one(spark, source_id=source_id)["m_id"] == (None if number is None else Decimal(number))


def test_nothing_is_known_but_what_must_be(spark: SparkSession) -> None:
    row = one(spark, source_id=None, created_at=None, text=None, language=None, author=None, hashtags=None)
    known = {name for name, value in row.asDict().items() if value is not None}
    assert known == {"post_id", "event_time", "revision"}


def test_what_somebody_wrote(spark: SparkSession) -> None:
    kinds = ("create", "update", "delete", "metrics")
    rows = editions(posts(spark, *({"operation": each, "id": each} for each in kinds))).collect()
    assert [row["post_id"] for row in rows] == ["create", "update"]


@pytest.mark.parametrize(
    ("hashtags", "kept"),
    [([], None), (["a" * (HASHTAGS + 1)], None), (["a" * HASHTAGS], "a" * HASHTAGS),
     (["a" * HASHTAGS, "b"], "a" * HASHTAGS), (["a" * (HASHTAGS - 2), "b", "c"], "a" * (HASHTAGS - 2) + " b"),
     (["a" * (HASHTAGS - 2), "bcd"], "a" * (HASHTAGS - 2))],
    ids=["none", "one too long", "one", "a second", "a third", "none in part"],
)  # fmt: skip
def test_hashtags_are_kept_whole(hashtags: list[str], kept: str | None, spark: SparkSession) -> None:
    assert one(spark, hashtags=hashtags)["hashtags"] == kept


def test_texts_are_dealt_evenly_and_equal_ones_to_one_task(spark: SparkSession) -> None:
    texts: list[str | None] = [None, *(str(number % 103) for number in range(250))]
    rows = dealt(spark.createDataFrame([(each,) for each in texts], "mastodon_text string"), 3)
    assert rows.columns == ["mastodon_text"]
    tasks = [{row[0] for row in task} - {None} for task in rows.rdd.glom().collect()]
    assert sorted(map(len, tasks)) == [34, 34, 35]
    assert len(set.union(*tasks)) == 103 and rows.count() == len(texts)
