"""For notebooks: the same tables and topics as the jobs, as pandas and Spark DataFrames.

from millrace import explore
explore.table("trending_hashtags", full=True)  # pandas, from SQLite or the store that MILLRACE_... names
explore.documents("twitter_collection")        # pandas, from MongoDB
explore.topic("bluesky-raw-posts").show()      # Spark, every post that Kafka holds, with its schema
explore.archive("bluesky-raw-posts").count()   # Spark, every post that the archive holds
explore.archived("bluesky-raw-posts")          # the same as pandas, without Spark, and from HDFS without pydoop
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import Any

import pandas as pd
from msgspec.structs import asdict
from pyspark.sql import DataFrame, SparkSession
from sqlalchemy import column, select
from sqlalchemy import table as relation

from millrace import config
from millrace.archive import census, files, replay, rows
from millrace.archive.log import Log
from millrace.archive.records import Record
from millrace.errors import BadRecord, ConfigError
from millrace.kafka import market, parse, read
from millrace.kafka.columns import Kind
from millrace.kafka.posts import decode
from millrace.kafka.results import RESULTS, TOPICS
from millrace.kafka.times import moment
from millrace.kafka.topics import TRADES
from millrace.names import identifier
from millrace.sinks.clickhouse import reader as clickhouse
from millrace.sinks.mongodb import reader
from millrace.sinks.registry import SINKS
from millrace.sinks.sql import database, windows
from millrace.spark import launch

WINDOW = ("window_start", "window_end")


def table(name: str, store: str = "sqlite", limit: int | None = None, *, full: bool = False) -> pd.DataFrame:
    """Return a table or view of `store` (sqlite, postgres, mysql, clickhouse), newest windows first where it has some.

    With `full` only windows of a source that are full: those that still fill are left out. Times come as UTC
    timestamps. Raises ConfigError when the store or the table is not there, and says what fills it, or has no such
    windows.
    """
    url = config.load().store_url(store)
    if not SINKS[store].relational:
        return clickhouse.frame(url, identifier(name), limit, full=full)
    engine = database.connect(url)
    with database.errors(engine.url), engine.connect() as connection:
        known = connection.dialect.get_table_names(connection) + connection.dialect.get_view_names(connection)
        if identifier(name) not in known:
            raise ConfigError(
                f"{store} has no table {name!r} (it has {', '.join(sorted(known)) or 'none'}): run a job that fills it"
            )
        names = [found["name"] for found in connection.dialect.get_columns(connection, name)]
        if full and not {"source", *WINDOW} <= set(names):
            raise ConfigError(f"{name} has no windows of a source")
        rows = relation(name, *map(column, names))  # without types: values come as the store has them
        query = windows.full(rows) if full else select(rows)
        newest = [query.selected_columns.window_start.desc()] if "window_start" in names else []
        frame = pd.read_sql(query.order_by(*newest).limit(limit), connection)
    engine.dispose()
    for each in set(WINDOW) & set(frame):
        frame[each] = pd.to_datetime(frame[each], utc=True, format="ISO8601" if frame[each].dtype == object else None)
    return frame


def documents(name: str, limit: int | None = None) -> pd.DataFrame:
    """Return the documents of result `name` in MongoDB, all or the `limit` newest windows, newest first.

    The columns are those of the result; times come as UTC timestamps, counts that may lack as Int64. Raises ConfigError
    for no such result, and while there are no documents.
    """
    known = {each.name: each for each in RESULTS if each.key}
    if name not in known:
        raise ConfigError(f"no result {name!r}: there are {', '.join(known)}")
    result = known[name]
    found = reader.newest(config.load().store_url("mongodb"), result, limit or 0)
    if not found:
        raise ConfigError(f"MongoDB has no documents in {result.documents}: run a job that writes them")
    frame = pd.DataFrame(found, columns=[column.name for column in result.columns])
    return frame.astype({column.name: "Int64" for column in result.columns if column.kind is Kind.INTEGER})


def session() -> SparkSession:
    """Return a local Spark session with Java, the Kafka connector and the project's settings, made on first use."""
    os.environ.update(launch.environment())
    builder = SparkSession.builder.appName("millrace explore").master("local[*]")
    for line in launch.conf("local.conf").read_text().splitlines():
        key, _, value = line.partition(" ")
        if key.startswith("spark.") and key != "spark.master":
            builder = builder.config(key, value.strip())
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def topic(name: str) -> DataFrame:
    """Return what topic `name` holds now: rows of post.v1 or trade.v1, else key and value as text."""
    settings = config.load()
    return _shown(name, read.batch(session(), settings.kafka_bootstrap, [name]))


def archive(name: str) -> DataFrame:
    """Return what the archive at MILLRACE_ARCHIVE_URL holds of topic `name`, in the columns of `topic`.

    Raises ConfigError that lists what it holds, when that topic is not among it.
    """
    place = files.of(config.load())
    [known] = census.chosen(place, [name])
    return _shown(name, rows.read(session(), place.url, name, Log(place, known).load().parts.values()))


def archived(
    name: str, start: datetime | None = None, end: datetime | None = None, limit: int | None = None
) -> pd.DataFrame:
    """Return archived records of topic `name` from `start` up to `end` (by their timestamps, UTC), in that order.

    Post.v1 rows for a topic of posts, bad ones left out; else key and value as text, partition, offset, timestamp.
    Times beyond the years 1 to 9999 are NaT. Spark is not needed; HDFS is read through WebHDFS.
    """
    found = replay.read(files.of(config.load()), name, replay.span(start, end))
    taken = islice(_posts(found) if _holds_posts(name) else map(_plain, found), limit)
    return pd.DataFrame(list(taken))


def _posts(found: Iterable[Record]) -> Iterator[dict[str, Any]]:
    for record in found:
        with suppress(BadRecord):
            yield asdict(decode(record.value)) | {"event_time": moment(record.timestamp)}


def _plain(record: Record) -> dict[str, Any]:
    bodies = {"key": record.key, "value": record.value}
    texts = {name: None if body is None else body.decode(errors="replace") for name, body in bodies.items()}
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    return texts | place | {"timestamp": moment(record.timestamp)}


def _holds_posts(name: str) -> bool:
    return name in TOPICS and TOPICS[name].schema == "post.v1"


def _shown(name: str, records: DataFrame) -> DataFrame:
    if _holds_posts(name):
        return parse.posts(records)
    if name == TRADES.name:
        return market.trades(records)
    return records.selectExpr(
        "CAST(key AS STRING) AS key",
        "CAST(value AS STRING) AS value",
        "topic",
        "partition",
        "offset",
        "timestamp",
    )
