"""Publish micro-batches to a Kafka topic as JSON values with keys and headers."""

import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from kafka import TopicPartition
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.streaming.readwriter import DataStreamWriter

from millrace import names
from millrace.config import Settings
from millrace.errors import Unavailable
from millrace.kafka import documents
from millrace.kafka.browse import consumer
from millrace.kafka.records import between
from millrace.kafka.results import Result, TopicBy
from millrace.kafka.topics import Topic
from millrace.kafka.utc import utc
from millrace.sinks import task_errors
from millrace.sinks.sink import Need, Sink, Target, topics_of
from millrace.sinks.together import Direct, Writer


def publish(topic: Topic | str, key: list[str], bootstrap: str, options: Mapping[str, str] | None = None) -> Writer:
    """Publish each row as a JSON object to `topic`, which must exist, keyed by the columns `key`.

    One key column is written as its text, several as a JSON object. Headers: `ingested_at`, and `schema` if `topic` is
    a Topic. The record's timestamp is the time of writing. `options` are those of Spark's Kafka writer, such as
    kafka.max.block.ms. Raises Unavailable when the brokers do not take the batch, ConfigError when a key column is
    missing.

    Delivery: at-least-once; a replayed batch is published again under the same keys.
    """
    name = names.topic_name(topic.name if isinstance(topic, Topic) else topic)
    schema = topic.schema if isinstance(topic, Topic) else None

    def write(batch: DataFrame, batch_id: int) -> None:
        documents.require_key(key, batch.columns, f"topic {name}")
        records = batch.select(_key(key), documents.document().alias("value"), _headers(schema))
        _save(records, bootstrap, f"topic {name}", {"topic": name, **(options or {})})

    return write


def publish_by(column: str, topics: Mapping[str, Topic], bootstrap: str) -> Writer:
    """Publish each row, as `publish` does, to the topic that belongs to its text in `column`.

    Rows with a text that has no topic are left out. The topics have one schema and key, and must exist.

    Delivery: at-least-once; a replayed batch is published again under the same keys.
    """
    pairs = [F.lit(text) for value, topic in topics.items() for text in (value, topic.name)]
    [(key, schema)] = {(topic.key, topic.schema) for topic in topics.values()}

    def write(batch: DataFrame, batch_id: int) -> None:
        topic = F.element_at(F.create_map(*pairs), F.col(column)).alias("topic")
        value = documents.document().alias("value")
        records = batch.select(topic, _key(key.split(", ")), value, _headers(schema)).filter("topic IS NOT NULL")
        _save(records, bootstrap, f"topics by {column}", {})

    return write


def _save(records: DataFrame, bootstrap: str, what: str, options: Mapping[str, str]) -> None:
    target = {"kafka.bootstrap.servers": bootstrap, "includeHeaders": "true"}
    try:
        records.write.format("kafka").options(**target, **options).save()
    except (PySparkException, Py4JJavaError) as error:
        if found := task_errors.cause(error):
            raise found from None
        if "org.apache.kafka." not in str(error):  # the rows' own query failed
            raise
        raise Unavailable(f"Kafka at {bootstrap}, {what}: {_reason(error)}") from None


def direct(topic: Topic, key: list[str], bootstrap: str) -> Direct:
    """Publish each row, as `publish` does, by Spark's own Kafka sink, which real-time mode requires.

    The only header is `schema`: a real-time batch lasts a minute and would give all its rows the same `ingested_at`.

    Delivery: at-least-once; what was published since the last checkpoint is published again under the same keys.
    """

    def write(rows: DataFrame) -> DataStreamWriter:
        header = F.struct(F.lit("schema").alias("key"), F.encode(F.lit(topic.schema), "utf-8").alias("value"))
        records = rows.select(_key(key), documents.document().alias("value"), F.array(header).alias("headers"))
        target = {"kafka.bootstrap.servers": bootstrap, "topic": topic.name, "includeHeaders": "true"}
        return records.writeStream.format("kafka").options(**target)

    return Direct(write)


def _key(columns: list[str]) -> Column:
    return documents.key(columns).alias("key")


def _headers(schema: str | None) -> Column:
    now = utc(F.current_timestamp(), "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'")
    headers = {"ingested_at": now, **({"schema": F.lit(schema)} if schema else {})}
    pairs = [F.struct(F.lit(k).alias("key"), F.encode(v, "utf-8").alias("value")) for k, v in headers.items()]
    return F.array(*pairs).alias("headers")


def _reason(error: Exception) -> str:
    """Return the innermost cause of an error, without Spark's stack trace."""
    causes = re.findall(r"(?:Caused by: |: )(?:[\w$]+\.)+(\w+(?:Exception|Error): .*)", str(error))
    return str(causes[-1]) if causes else str(error).strip().splitlines()[0]


def _writer(result: Result, target: Target) -> Writer:
    target.create(topics_of(result))
    bootstrap = target.settings.kafka_bootstrap
    if isinstance(result.topic, TopicBy):
        return publish_by(result.topic.column, result.topic.topics, bootstrap)
    return publish(_only(result), list(result.key), bootstrap)


def _direct(result: Result, target: Target) -> Direct:
    target.create(topics_of(result))
    return direct(_only(result), list(result.key), target.settings.kafka_bootstrap)


def _only(result: Result) -> Topic:
    [topic] = topics_of(result)
    return topic


def _rows(result: Result, settings: Settings) -> Iterable[dict[str, Any]]:
    """Return the last record of each key, as Python values."""
    with consumer(settings.kafka_bootstrap) as reader:
        found = {}
        for topic in topics_of(result):
            for number in sorted(reader.partitions_for_topic(topic.name) or ()):
                place = TopicPartition(topic.name, number)
                begin, end = reader.beginning_offsets([place])[place], reader.end_offsets([place])[place]
                for record in between(reader, place, begin, end):
                    found[topic.name, record.key] = record.value
    return [documents.values(result, json.loads(value, parse_float=Decimal)) for value in found.values()]


KAFKA = Sink(
    "kafka", Need.TOPIC, _writer, "kafka_bootstrap", rows=_rows, direct=_direct, servers=("kafka",), appends=True
)
