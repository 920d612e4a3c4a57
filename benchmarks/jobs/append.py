"""The same rows into MySQL by millrace's upsert and by Spark's JDBC append, in turn; prints the median seconds of each.

Spark's append knows no keys: what is replayed is there twice.
"""

import json
import time
from argparse import ArgumentParser
from collections.abc import Callable
from statistics import median

from benchmarks.sinks import candles
from pyspark.sql import DataFrame, SparkSession
from sqlalchemy import make_url

from millrace.sinks.sql import tables
from millrace.sinks.sql import writer as sql

ROUNDS = 7


def main() -> None:
    options = ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, required=True)
    options.add_argument("--url", required=True)
    args = options.parse_args()
    spark = SparkSession.builder.getOrCreate()
    rows = spark.createDataFrame(candles(args.rows).to_pandas()).persist()
    rows.count()
    upsert = sql.upsert(args.url, tables.candles)
    ways: dict[str, Callable[[], object]] = {"upsert": lambda: upsert(rows, 0), "jdbc": lambda: append(rows, args.url)}
    for way in ways.values():
        way()
    taken = [{name: timed(way) for name, way in ways.items()} for _ in range(ROUNDS)]
    print(json.dumps({name: median(each[name] for each in taken) for name in ways}))


def append(rows: DataFrame, url: str) -> None:
    place = make_url(url)
    address = f"jdbc:mysql://{place.host}:{place.port}/{place.database}"
    options = {"url": f"{address}?useSSL=false&allowPublicKeyRetrieval=true&rewriteBatchedStatements=true",
               "user": place.username, "password": place.password, "dbtable": "candles_appended",
               "driver": "com.mysql.cj.jdbc.Driver", "batchsize": "5000"}  # fmt: skip
    rows.write.format("jdbc").options(**options).mode("append").save()


def timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


if __name__ == "__main__":
    main()
