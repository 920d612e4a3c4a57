"""Write micro-batches into MongoDB: every Spark task replaces its own part by PyMongo's bulk writes."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from operator import and_
from typing import Any, TypeVar

import pyarrow as pa
from pymongo import InsertOne, ReplaceOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from millrace.errors import Unavailable
from millrace.kafka import documents, letters
from millrace.kafka.results import Result
from millrace.sinks import task_errors
from millrace.sinks.mongodb import cluster
from millrace.sinks.mongodb.bson_rows import ID, WINDOW, Document, Refused, rows_of
from millrace.sinks.retry import Patience
from millrace.sinks.together import Writer

log = logging.getLogger(__name__)
T = TypeVar("T")
Request = InsertOne[Any] | ReplaceOne[Any]
CHUNK = 1_000  # documents in a request
DUPLICATE = 11000  # the code of a document that is there already
AWAY = {91, 112, 189, 10107, 11600, 11602, 13435, 13436}  # codes of servers that stop or change, and of write conflicts


def prepare(url: str, result: Result) -> None:
    """Create the index of a result's collection if it is missing: by window, else by what orders its rows."""
    name = WINDOW if any(column.name == WINDOW for column in result.columns) else result.rank
    if name:
        with cluster.errors(url, f"collection {result.documents}"):
            cluster.collection(url, result.documents).create_index([(name, -1)])


def replace(
    url: str,
    result: Result,
    *,
    refused: Writer,
    patience: Patience | None = None,
    overwrite: datetime | None = None,
) -> Writer:
    """Replace each row's document, whose `_id` is the row's key: the text of one column, the JSON object of several.

    A document is replaced only by one that is not older by the column `result.rank`, if there is one, or whose window
    starts at `overwrite` or later. Times have
    milliseconds there, NaN is null, exact numbers are Decimal128. What MongoDB refuses (over 16 MB, a null key) goes as
    a dead letter to `refused`, a writer that must take its whole batch; all others are written. Raises Unavailable when
    the server stays away longer than `patience` (2 minutes), ConfigError when a retry cannot help.

    Delivery: at-least-once, effectively once by `_id` and rank; documents appear one by one, not batch by batch.
    """
    where = f"collection {result.documents} in {cluster.place(url)}"

    def send(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        collection = cluster.collection(url, result.documents)

        def deliver(batch: pa.RecordBatch) -> Delivery:
            delivery = Delivery(collection, result.rank, overwrite)
            delivery.take(batch)
            return delivery

        for delivery in ahead(map(deliver, batches)):  # the next is encoded while the server works at this one
            (patience or Patience()).attempt(lambda todo=delivery: todo.send(url))  # type: ignore[misc]
            yield letters.table(delivery.letters)

    def write(batch: DataFrame, batch_id: int) -> None:
        documents.require_key([*result.key, *([result.rank] if result.rank else [])], batch.columns, where)
        known = reduce(and_, [F.col(name).isNotNull() for name in result.key])
        rows = batch.select(F.when(known, documents.key(result.key)).alias(ID), "*")
        try:
            refused(rows.mapInArrow(send, letters.COLUMNS), batch_id)
        except PySparkException as error:
            raise task_errors.cause(error) or error from None

    return write


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield `items`, each while a thread makes the next: what one of them waits for, the other works in."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


@dataclass
class Delivery:
    """The documents of one Arrow batch: each is `pending` until it is stored or a dead letter."""

    collection: Collection[dict[str, Any]]
    rank: str | None
    overwrite: datetime | None
    pending: list[Document] = field(default_factory=list)
    letters: list[dict[str, Any]] = field(default_factory=list)

    def take(self, batch: pa.RecordBatch) -> None:
        """Encode the rows of `batch`; of several with one key the last of the newest stays."""
        newest: dict[str, Document] = {}
        for found in rows_of(batch, self.rank, self.overwrite):
            if isinstance(found, Refused):
                self._refuse(found)
            elif found.id not in newest or found.not_older_than(newest[found.id]):
                newest[found.id] = found
        self.pending = list(newest.values())

    def send(self, url: str) -> None:
        """Write the pending documents; raises Unavailable if some of them are still pending then."""
        with cluster.errors(url, f"collection {self.collection.full_name}"):
            while self.pending:
                there = self._write(self.pending[:CHUNK], self._first)
                if again := self._write(there, self._newer):
                    log.debug("%d documents of %s are newer there", len(again), self.collection.full_name)
                del self.pending[:CHUNK]

    def _write(self, chunk: list[Document], request: Callable[[Document], Request]) -> list[Document]:
        """Write documents by one bulk request, in any order; returns those of whose `_id` there is one already."""
        if not chunk:
            return []
        try:
            self.collection.bulk_write([request(each) for each in chunk], ordered=False)
            return []
        except BulkWriteError as error:
            details = error.details or {}
        errors = details.get("writeErrors", [])
        if wrong := [*details.get("writeConcernErrors", []), *(each for each in errors if each["code"] in AWAY)]:
            raise Unavailable(f"collection {self.collection.full_name}: {wrong[0].get('errmsg')}")
        for each in errors:
            if not _is_there(each):
                self._refuse(chunk[each["index"]].refused(each["errmsg"]))
        return [chunk[each["index"]] for each in errors if _is_there(each)]

    def _first(self, document: Document) -> Request:
        """Replace by what is right in any case; insert else: most are new, and what is there may be newer."""
        if document.right:
            return ReplaceOne({ID: document.id}, document.raw, upsert=True)
        return InsertOne(document.raw)

    def _newer(self, document: Document) -> Request:
        """Replace what is not newer; where it is, nothing is found, and the insert is refused as a duplicate."""
        older = None if document.rank is None else {"$not": {"$gt": document.rank}}
        return ReplaceOne({ID: document.id, str(self.rank): older}, document.raw, upsert=True)

    def _refuse(self, refused: Refused) -> None:
        text = f"MongoDB refused document {refused.id!r:.100}: {refused.reason}"
        self.letters.append(letters.letter(refused.value, text, topic=self.collection.full_name))


def _is_there(error: dict[str, Any]) -> bool:
    """Return whether a document of this `_id` is there; another unique index refuses it under the same code."""
    _, named, index = error["errmsg"].partition(" index: ")
    return error["code"] == DUPLICATE and (not named or index.startswith("_id_"))
