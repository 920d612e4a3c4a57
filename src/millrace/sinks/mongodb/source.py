"""A result's documents as a table of Spark SQL, which `spark-conf/sql/pyspark_millrace.py` gives to `millrace sql`."""

from collections.abc import Iterator
from typing import Any

from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.types import StructType

from millrace import config
from millrace.errors import ConfigError
from millrace.kafka.columns import Column, Kind
from millrace.kafka.results import RESULTS, Result
from millrace.sinks.mongodb import reader

TYPES = {
    Kind.TEXT: "STRING",
    Kind.TEXTS: "ARRAY<STRING>",
    Kind.TAGS: "ARRAY<STRUCT<hashtag: STRING, tweets: BIGINT>>",
    Kind.INTEGER: "BIGINT",
    Kind.UNSIGNED: "DECIMAL(20, 0)",
    Kind.DOUBLE: "DOUBLE",
    Kind.TIME: "TIMESTAMP",
    Kind.FLAG: "BOOLEAN",
}


class Documents(DataSource):
    """`CREATE VIEW ... USING documents OPTIONS (result 'NAME')`: every query reads the collection anew.

    The server is that of MILLRACE_MONGODB_URL, which is no option: Spark shows those in its plans.
    """

    @classmethod
    def name(cls) -> str:
        """Return what stands after USING."""
        return "documents"

    def schema(self) -> str:
        """Return the columns that the result declares; a document without one of them has null there."""
        return ", ".join(f"`{column.name}` {_type(column)}" for column in self._result().columns)

    def reader(self, schema: StructType) -> DataSourceReader:
        """Return what reads one collection in one task."""
        return _Reader(self._result())

    def _result(self) -> Result:
        known = {each.name: each for each in RESULTS if each.key}
        if (name := self.options.get("result", "")) not in known:
            raise ConfigError(f"no result {name!r}: there are {', '.join(known)}")
        return known[name]


class _Reader(DataSourceReader):
    def __init__(self, result: Result) -> None:
        self.result = result

    def read(self, partition: InputPartition) -> Iterator[tuple[Any, ...]]:
        for row in reader.rows(config.load().store_url("mongodb"), self.result):
            yield tuple(_plain(row.get(column.name), column.kind) for column in self.result.columns)


def _type(column: Column) -> str:
    return TYPES.get(column.kind, f"DECIMAL({column.size}, 10)")


def _plain(value: Any, kind: Kind) -> Any:
    if kind is Kind.TAGS and value is not None:
        return [(each["hashtag"], each["tweets"]) for each in value]
    return value
