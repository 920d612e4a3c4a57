import json
import random
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, StructField, StructType, TimestampType
from tests.unit import test_fields as broken
from tests.unit.test_posts import BAD, GOOD
from tests.unit.test_trades import BAD as BAD_TRADES
from tests.unit.test_trades import GOOD as TRADE

from millrace.kafka import expressions, letters, market, parse

RECORDS = StructType([StructField("value", BinaryType()), StructField("timestamp", TimestampType())])
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def records(spark, values, time=NOON):
    return spark.createDataFrame([(value, time) for value in values], RECORDS)


def test_every_column_of_post_v1(spark):
    whole = GOOD | {"author": {"id": "a", "username": "u", "name": None, "bot": True}, "replies": 1, "text": "ü",
                    "created_at": "2026-01-01T00:00:00.000001Z", "raw": "{}"}  # fmt: skip
    row = parse.posts(records(spark, [json.dumps(whole).encode()])).collect()[0].asDict(recursive=True)
    assert set(row) == set(parse.COLUMNS)
    assert row["author"] == whole["author"]
    assert (row["id"], row["text"], row["hashtags"], row["replies"], row["reblogs"]) == (
        GOOD["id"],
        "ü",
        ["cat"],
        1,
        None,
    )
    assert row["event_time"].astimezone(UTC) == NOON  # the Kafka timestamp, not the field
    assert row["created_at"].microsecond == 1


def test_bad_records_are_left_out_wherever_they_stand(spark):
    values = [json.dumps(GOOD | {"id": str(i)}).encode() for i in range(200)] + list(BAD.values()) * 4
    random.Random(1).shuffle(values)
    got = parse.posts(records(spark, values), ["id"]).collect()
    assert sorted(int(row.id) for row in got) == list(range(200))


def test_a_record_without_a_usable_timestamp_is_bad(spark):
    good = json.dumps(GOOD).encode()
    before_time = datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)  # Kafka's -1
    assert parse.posts(records(spark, [good], before_time), ["id"]).count() == 0
    placed = "'t' AS topic", "3 AS partition", "9L AS offset", "value", "timestamp"
    [letter] = letters.dead_letters(records(spark, [good], before_time).selectExpr(*placed)).collect()
    assert (letter.reason, letter.offset, letter.size) == ("it has no timestamp", 9, len(good))


def test_a_record_of_a_year_that_no_store_holds_is_bad(spark):
    """As of a producer that counts in microseconds; Spark's own parser, for real time, says the same."""
    good = json.dumps(GOOD).encode()
    frame = records(spark, [good]).withColumn("timestamp", F.timestamp_millis(F.lit(1_795_348_800_000_000)))
    assert parse.posts(frame, ["id"]).count() == expressions.posts(frame, ["id"]).count() == 0
    placed = "'t' AS topic", "3 AS partition", "9L AS offset", "value", "timestamp"
    [letter] = letters.dead_letters(frame.selectExpr(*placed)).collect()
    assert letter.reason == "its timestamp is +58862-05-04T00:00:00.000Z"


@pytest.mark.parametrize("bad", [*({name: value} for name, value in BAD.items()), BAD, {}], ids=" ".join)
def test_a_batch_tells_how_many_records_were_bad(bad):
    values = pa.array([json.dumps(GOOD).encode(), *bad.values(), json.dumps(GOOD).encode()], pa.binary())
    times = pa.array([NOON] * len(values), parse.TIME)
    decoding = parse.Decoding(pa.record_batch([values, times], names=["value", "timestamp"]))
    assert (len(list(decoding)), decoding.bad) == (2, len(bad))


@pytest.mark.parametrize("reason", ["null", "1e400", "U+0000"])
def test_a_letter_says_where_and_why(spark, reason):
    frame = records(spark, [json.dumps(GOOD).encode(), BAD[reason]])
    place = frame.selectExpr("'t' AS topic", "3 AS partition", "9L AS offset", "value", "timestamp")
    [letter] = letters.dead_letters(place).collect()
    assert (letter.topic, letter.partition, letter.offset, letter.size) == (
        "t",
        3,
        9,
        len(BAD[reason] or b""),
    )
    assert letter.reason and len(letter.sha256) == 64


def test_trades_are_judged_as_trades(spark):
    frame = records(spark, [json.dumps(TRADE).encode(), json.dumps(GOOD).encode(), *BAD_TRADES.values()])
    place = frame.selectExpr("'finnhub-trades' AS topic", "3 AS partition", "9L AS offset", "value", "timestamp")
    assert letters.dead_letters(place).count() == 1 + len(BAD_TRADES)
    assert market.trades(frame).count() == 1


def test_whatever_is_in_an_optional_field_there_is_a_row(spark):
    values = {True: [], False: []}  # of trades, of posts
    for name, path in broken.PLACES:
        values[name == "finnhub"] += [broken.check(name, path, way).value for way in broken.WAYS]
    rows = records(spark, values[False])
    for read in (parse.posts, expressions.posts):
        assert len(read(rows).collect()) == len(values[False])
    assert len(market.trades(records(spark, values[True])).collect()) == len(values[True])
