"""What the Kafka sink keeps beyond the contract of all sinks: headers, times, and whom it blames."""

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from tests.contract import batch, row
from tests.support import new_topic, records

from millrace.config import Settings
from millrace.errors import Unavailable
from millrace.kafka import topics
from millrace.sinks.kafka import publish


def test_kafka_records_carry_headers_and_exact_times(spark: SparkSession, kafka: Settings) -> None:
    topic = topics.Topic(f"headers-{uuid.uuid4().hex[:8]}", key="name, observed_at", schema="contract.v1")
    topics.create(kafka.kafka_bootstrap, [topic], 1)
    spark.conf.set("spark.sql.session.timeZone", "Asia/Kolkata")
    try:
        before = datetime.now(UTC)
        publish(topic, ["name", "observed_at"], kafka.kafka_bootstrap)(batch(spark, row("a")), 0)
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
    [record] = records(kafka.kafka_bootstrap, topic.name)
    headers = dict(record.headers)
    assert json.loads(record.key) == {"name": "a", "observed_at": "2026-11-22T12:00:00.000000Z"}
    assert json.loads(record.value)["observed_at"] == "2026-11-22T12:00:00.000000Z"
    assert headers["schema"] == b"contract.v1"
    assert abs(datetime.fromisoformat(headers["ingested_at"].decode()) - before) < timedelta(minutes=1)


def test_kafka_topic_that_does_not_exist(spark: SparkSession, kafka: Settings) -> None:
    write = publish("no-such-topic", ["name"], kafka.kafka_bootstrap, {"kafka.max.block.ms": "2000"})
    with pytest.raises(Unavailable, match="no-such-topic"):
        write(batch(spark, row("a")), 0)


def test_a_query_that_fails_is_not_blamed_on_kafka(spark: SparkSession, kafka: Settings) -> None:
    topic = new_topic(kafka.kafka_bootstrap)
    rows = spark.range(3).select(F.col("id").cast("string"), F.expr("1 div (id - 1)").alias("n"))
    with pytest.raises(PySparkException, match="DIVIDE_BY_ZERO"):
        publish(topic, ["id"], kafka.kafka_bootstrap)(rows, 0)
