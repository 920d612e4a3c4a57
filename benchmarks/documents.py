"""Documents a second into Elasticsearch, beside what the client's bare streaming_bulk makes of the same documents."""

from collections.abc import Iterator
from typing import Any

from elasticsearch import Elasticsearch
from elasticsearch.helpers import streaming_bulk
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks import mill, turns
from benchmarks.report import Figure
from millrace import explore
from millrace.sinks.elasticsearch import indices
from millrace.sinks.elasticsearch import writer as elasticsearch
from millrace.sinks.elasticsearch.indices import INDICES
from millrace.sinks.elasticsearch.limits import CHUNK

ENGAGEMENT = INDICES["mastodon-engagement"]
NAME = "documents"


def measure(size: int = 40_000, rounds: int = 7) -> Iterator[Figure]:
    """Yield the sink's documents/s as a share of streaming_bulk's: one task beside one process, all are upserts."""
    with mill.servers("elasticsearch") as settings:
        url = settings.store_url("elasticsearch")
        indices.create(url, ENGAGEMENT)
        spark = explore.session()
        try:
            yield compare(spark, url, size, rounds)
        finally:
            spark.stop()


def compare(spark: SparkSession, url: str, size: int, rounds: int) -> Figure:
    """Time both ways in turn over the same documents."""
    batch = rows(spark, size).coalesce(1).persist()
    documents = [row.asDict() for row in batch.collect()]
    write, client = elasticsearch.index(url, ENGAGEMENT), Elasticsearch(url)
    return turns.compare(
        NAME,
        f"{size:,} scored posts, one task",
        size=size,
        unit="documents",
        sink=lambda: write(batch, 0),
        client="streaming_bulk",
        bare=lambda: bare(client, documents),
        rounds=rounds,
    )


def rows(spark: SparkSession, count: int) -> DataFrame:
    """Return rows of post_engagement."""
    moment = F.timestamp_micros(F.lit(1_783_175_888_172_335) + F.col("id") * 1000)
    counters = [
        (F.col("id") % size).alias(name) for name, size in (("replies", 7), ("reblogs", 31), ("favourites", 97))
    ]
    return spark.range(count).select(
        F.concat(F.lit("https://mill.example/users/miller/statuses/"), F.col("id") + 10**14).alias("id"),
        F.lit("mastodon").alias("source"),
        F.concat(F.lit("miller"), F.col("id") % 400).alias("author"),
        F.element_at(F.array(*map(F.lit, ("en", "de", "ja"))), (F.col("id") % 3 + 1).cast("int")).alias("language"),
        moment.alias("created_at"),
        moment.alias("event_time"),
        *counters,
        (F.col("id") % 250).cast("double").alias("engagement_score"),
        F.lit(False).alias("deleted"),
        moment.alias("observed_at"),
    )


def bare(client: Elasticsearch, documents: list[dict[str, Any]]) -> None:
    """The helper alone, as short as it can be written for documents with ids and versions."""
    actions = (
        {
            "_id": each["id"],
            "_version": int(each["observed_at"].timestamp() * 1_000_000),
            "_version_type": "external_gte",
            "_source": each,
        }
        for each in documents
    )
    for _ in streaming_bulk(client, actions, index=ENGAGEMENT.name, chunk_size=CHUNK):
        pass
