"""Whatever is in a field that no event needs, its record is in Kafka, and a row of Spark's."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from pyspark.sql import SparkSession
from tests.support import new_topic, producer, records
from tests.unit.test_fields import PLACES, PROVIDERS, WAYS, check

from millrace.config import Settings
from millrace.ingest.events import Event
from millrace.kafka import market, parse, read


def everything(name: str) -> list[Event]:
    """Return the events of a provider's record, each field broken in each way."""
    return [check(name, path, value) for provider, path in PLACES if provider == name for value in WAYS]


@pytest.mark.parametrize("name", PROVIDERS)
def test_every_record_is_in_kafka_and_a_row_of_sparks(name: str, kafka: Settings, spark: SparkSession) -> None:
    topic, events = new_topic(kafka.kafka_bootstrap), everything(name)
    assert len(events) >= len(WAYS)
    with producer(kafka.kafka_bootstrap, transactional_id=topic) as writer:  # as adapters write them
        writer.init_transactions()
        writer.begin_transaction()
        for each in events:
            writer.send(topic, each.value, each.key, timestamp_ms=each.event_time // 1000)
        writer.commit_transaction()
    assert Counter(each.value for each in records(kafka.kafka_bootstrap, topic)) == Counter(e.value for e in events)
    stored = read.batch(spark, kafka.kafka_bootstrap, [topic])
    rows = (market.trades(stored) if name == "finnhub" else parse.posts(stored)).collect()
    assert len(rows) == len(events)
    [moment] = {each.event_time // 1000 for each in events}
    assert {row.event_time.astimezone(UTC) for row in rows} == {datetime.fromtimestamp(moment / 1000, UTC)}
