"""Enrichment: the columns of a small table beside the rows of a stream."""

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

MATCHED = "matched"


def enrich(rows: DataFrame, table: DataFrame, on: str | Sequence[str]) -> DataFrame:
    """Return `rows` with the other columns of `table`, found by the columns `on`, and `matched`: whether it has any.

    Rows that it has none for stay, with nulls; who writes them counts them by `matched`. `table` is small (it goes to
    every task whole), is no stream, and has each key once. Null is no key. `rows` may be a stream:

        codes = spark.createDataFrame([("Finland", "FI"), ("Japan", "JP")], "country STRING, iso STRING")
        enrich(posts_by_country, codes, "country")   # country, posts, iso, matched
    """
    marked = table.withColumn(MATCHED, F.lit(True))
    joined = rows.join(F.broadcast(marked), on if isinstance(on, str) else list(on), how="left")
    return joined.withColumn(MATCHED, F.coalesce(MATCHED, F.lit(False)))
