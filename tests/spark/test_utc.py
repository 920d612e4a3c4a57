"""Times are written in UTC, whatever the session's time zone: also in the hours when summer begins and ends."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from pyspark.sql import functions as F

from millrace.archive.rows import shaped
from millrace.kafka.utc import utc
from millrace.names import CASE_NUMBERS
from millrace.queries.cases import cases

DAYS = (datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC),
        datetime(2026, 4, 4, tzinfo=UTC))  # fmt: skip
MOMENTS = [day + timedelta(minutes=20 * number, microseconds=number) for day in DAYS for number in range(72)]
FORM = "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'"


@pytest.fixture(params=["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"])
def times(request, spark):
    """Rows of MOMENTS in a session of a time zone."""
    before = spark.conf.get("spark.sql.session.timeZone")
    spark.conf.set("spark.sql.session.timeZone", request.param)
    yield spark.createDataFrame([(moment,) for moment in MOMENTS], "time timestamp")
    spark.conf.set("spark.sql.session.timeZone", before)


def iso(moment, timespec="microseconds"):
    return moment.replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def test_any_time(times):
    assert [row.text for row in times.select(utc("time", FORM).alias("text")).collect()] == list(map(iso, MOMENTS))


def test_windows_of_cases(spark, times):
    windows = times.select(
        F.lit("tweets").alias("source"),
        F.col("time").alias("window_start"),
        (F.col("time") + F.expr("INTERVAL 20 SECONDS")).alias("window_end"),
        *(F.lit(None).cast("string").alias(name) for name in ("tweets", "content", "cut", "hashtags")),
    )
    columns = ", ".join(f"{name} BIGINT" for name in CASE_NUMBERS)
    numbers = spark.createDataFrame([], f"country STRING, {columns}, as_of STRING, source_url STRING")
    found = [(row.hash, row.timestamp) for row in cases(windows, numbers, "World").collect()]
    ends = [moment + timedelta(seconds=20) for moment in MOMENTS]
    names = [f"tweets|{iso(start)}|{iso(end)}" for start, end in zip(MOMENTS, ends, strict=True)]
    assert found == [
        (hashlib.sha256(name.encode()).hexdigest(), iso(end, "seconds")) for name, end in zip(names, ends, strict=True)
    ]


def test_folders_of_the_archive(times):
    fields = (
        "NULL AS key, NULL AS value, 't' AS topic, 0 AS partition, 0L AS offset, time AS timestamp, NULL AS headers"
    )
    found = shaped(times.selectExpr(*fields.split(", ")), "parquet").select("date", "hour").collect()
    assert [tuple(row) for row in found] == [(f"{moment:%Y-%m-%d}", f"{moment:%H}") for moment in MOMENTS]
