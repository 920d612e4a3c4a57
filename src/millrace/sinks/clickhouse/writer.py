"""Write micro-batches into ClickHouse: every Spark task inserts its own part in large blocks of Arrow."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from clickhouse_connect.driver.exceptions import DatabaseError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame

from millrace.errors import ConfigError
from millrace.kafka import letters
from millrace.kafka.results import Result
from millrace.sinks import task_errors
from millrace.sinks.clickhouse import client, rows
from millrace.sinks.clickhouse.tables import storage
from millrace.sinks.retry import Patience
from millrace.sinks.together import Writer

BLOCK_ROWS, BLOCK_BYTES = 250_000, 64 << 20  # from either on a block is sent
SETTINGS = {
    "async_insert": 0,
    "input_format_null_as_default": 0,  # null is never stored as 0
    "insert_deduplicate": 0,  # a block that comes again after others is stored again: versions tell what is newer
    "deduplicate_insert": "disable",  # which newer servers ask instead
}
OF_THE_ROWS = {6, 25, 26, 27, 28, 38, 41, 69, 72, 117, 131, 321, 349, 395, 407, 469, 691}  # ClickHouse's numbers


def insert(
    url: str,
    result: Result,
    *,
    refused: Writer,
    patience: Patience | None = None,
    generations: Mapping[str, int] | None = None,
) -> Writer:
    """Insert the rows of each micro-batch into the table of `result`, which must exist (`tables.create`).

    Of rows with one key readers see the one of the highest generation (`tables.generations`), then of the highest
    `result.rank` (null is the lowest), of equals the last written. NaN is null where that may be; text that is no UTF-8
    is replaced. What the table cannot hold (null in a key, out of range, what a constraint refuses) goes as a dead
    letter to `refused`, a writer that must take its whole batch; all others are written. Raises Unavailable when the
    server stays away longer than `patience` (2 minutes), ConfigError when a retry cannot help.

    Delivery: at-least-once, effectively once by key and version; rows appear block by block, not batch by batch.
    """
    names = [column.name for column in result.columns]
    where = f"table {storage(result)} in {client.place(url)}"

    def send(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for block in blocks(batches):
            delivery = Delivery(url, result)
            delivery.take(block, generations or {})
            (patience or Patience()).attempt(delivery.send)
            yield letters.table(delivery.letters)

    def write(batch: DataFrame, batch_id: int) -> None:
        if set(names) != set(batch.columns):
            missing, unknown = sorted(set(names) - set(batch.columns)), sorted(set(batch.columns) - set(names))
            raise ConfigError(f"the rows do not fit {where}: missing {missing}, unknown {unknown}")
        _require_local(url, batch)
        try:
            refused(batch.select(names).mapInArrow(send, letters.COLUMNS), batch_id)
        except PySparkException as error:
            raise task_errors.cause(error) or error from None

    return write


def blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yield the rows of `batches` in few, large tables: each insert is a part of the table on the server's disk."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(each.num_rows for each in held) >= BLOCK_ROWS or sum(each.nbytes for each in held) >= BLOCK_BYTES:
            yield pa.Table.from_batches(held)
            held = []
    if any(each.num_rows for each in held):
        yield pa.Table.from_batches(held)


@dataclass
class Delivery:
    """The rows of one block: each is `pending`, in the order of writing, until it is stored or a dead letter."""

    url: str
    result: Result
    pending: list[pa.Table] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)

    def take(self, block: pa.Table, generations: Mapping[str, int]) -> None:
        """Hold the rows of `block` that the table can hold; the others become letters."""
        fitting, others = rows.fit(block, self.result, generations)
        self.pending = [fitting]
        for reason, lot in others:
            self._refuse(lot, reason)

    def send(self) -> None:
        """Insert what is pending; raises as `client.errors` does, with what is not stored still pending."""
        table = storage(self.result)
        while self.pending:
            part = self.pending[0]
            with client.errors(self.url, f"table {table}"):
                try:
                    if part.num_rows:
                        server = client.connect(self.url)
                        known = {name: value for name, value in SETTINGS.items() if name in server.server_settings}
                        server.insert_arrow(table, part, settings=known)
                    self.pending[:1] = []
                except DatabaseError as error:
                    if error.code not in OF_THE_ROWS:
                        raise
                    self.pending[:1] = self._without_the_wrong(part, error)

    def _without_the_wrong(self, part: pa.Table, error: DatabaseError) -> list[pa.Table]:
        """Return the halves of a part of which some row is wrong; one row alone becomes a letter."""
        if part.num_rows > 1:
            half = part.num_rows // 2
            return [part.slice(0, half), part.slice(half)]
        self._refuse(part, " ".join(str(error).split()))
        return []

    def _refuse(self, lot: pa.Table, reason: str) -> None:
        for row in lot.to_pylist():
            text = f"ClickHouse refused a row: {reason}"
            self.letters.append(letters.letter(rows.values(row), text, topic=storage(self.result)))


def _require_local(url: str, batch: DataFrame) -> None:
    master = batch.sparkSession.conf.get("spark.master") or ""
    if client.is_embedded(url) and master != "local" and not master.startswith("local["):
        raise ConfigError(f"{client.place(url)} is of one machine, Spark's master is {master}: use http://")
