"""Index micro-batches in Elasticsearch: every Spark task sends its own part by the official client's bulk requests."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from elasticsearch import Elasticsearch
from elasticsearch.helpers import streaming_bulk
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from millrace.errors import ConfigError, Unavailable
from millrace.kafka import documents, letters
from millrace.sinks import task_errors
from millrace.sinks.elasticsearch import cluster
from millrace.sinks.elasticsearch.indices import STAMP, WINDOW, Index
from millrace.sinks.elasticsearch.limits import CHUNK, CHUNK_BYTES, LONGEST_ID
from millrace.sinks.retry import Patience
from millrace.sinks.together import Writer

log = logging.getLogger(__name__)

GENERATION = 1 << 40  # no count of a window gets as high
STORED, CONFLICT, WRONG = (200, 201), 409, 400  # a conflict: a newer version is there already
NOT_THE_DOCUMENTS = ("index_closed_exception", "invalid_index_name_exception")  # also 400, but no fault of a document


def log_refused(batch: DataFrame, _: int) -> None:
    """Log how many documents were refused and why the first was, but not their contents."""
    count, reason = batch.agg(F.count("*"), F.first("reason")).head() or (0, "")
    if count:
        log.error("not indexed, %d documents put aside; the first: %s", count, reason)


def index(
    url: str,
    target: Index,
    *,
    refused: Writer = log_refused,
    patience: Patience | None = None,
    generations: Mapping[str, int] | None = None,
) -> Writer:
    """Index each row of a micro-batch as a document of `target`, which must exist (`indices.create`).

    The id is the row's key: the text of one column, the JSON object of several. The version is the row's `order` (a
    time as microseconds since 1970), of type `external_gte`: an older row never overwrites a newer one, and a replayed
    batch changes nothing but `indexed_at`. A count in a window has no time of its own: it is ordered by the count
    itself, which only grows while a job runs. So a recount from a topic that lost its first records never lowers what
    is stored. To store smaller numbers on purpose, windows get a higher generation (`indices.generations`): any count
    of that is above all of those before.

    A document that the index refuses (a value that its mapping cannot hold, an id that is null, empty or over 512
    bytes) goes as a dead letter to `refused`, a writer that must take its whole batch; the others are indexed. Raises
    Unavailable when the server stays away longer than `patience` (2 minutes), ConfigError when a retry cannot help.

    Delivery: at-least-once, effectively once by id and version; documents appear one by one, not batch by batch.
    """
    where = cluster.place(url)

    def send(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        client = cluster.connect(url)
        for batch in batches:
            delivery = Delivery(client, target.name, [*map(Document.of, *_columns(batch))])
            (patience or Patience()).attempt(lambda todo=delivery: todo.send(url))  # type: ignore[misc]
            yield letters.table(delivery.letters)

    def write(batch: DataFrame, batch_id: int) -> None:
        documents.require_key([*target.key, target.order], batch.columns, f"index {target.name} in {where}")
        version = _version(batch, target.order, generations or {})
        rows = batch.select(_id(target.key), version, documents.document().alias("document"))
        try:
            refused(rows.mapInArrow(send, letters.COLUMNS), batch_id)
        except PySparkException as error:
            raise task_errors.cause(error) or error from None

    return write


def _id(key: tuple[str, ...]) -> Column:
    known = F.lit(True)
    for name in key:
        known &= F.col(name).isNotNull()
    return F.when(known, documents.key(key)).cast("binary").alias("id")


def _version(batch: DataFrame, order: str, generations: Mapping[str, int]) -> Column:
    is_time = batch.schema[order].dataType.typeName() == "timestamp"
    number = F.unix_micros(order) if is_time else F.col(order).cast("bigint")
    generation = F.lit(0).cast("bigint")
    for start, each in sorted(generations.items()):  # the later it starts, the higher it is
        generation = F.when(F.col(WINDOW) >= F.lit(datetime.fromisoformat(start)), each).otherwise(generation)
    known = F.greatest(F.coalesce(number, F.lit(0)), F.lit(0))  # none is negative; null is lowest
    return (generation * GENERATION + known).alias("version")


def _columns(batch: pa.RecordBatch) -> list[list[Any]]:
    return [
        batch["id"].to_pylist(),
        batch["version"].to_pylist(),
        batch["document"].cast(pa.binary()).to_pylist(),
    ]


@dataclass(frozen=True, slots=True)
class Document:
    """One row to be indexed: `source` is its JSON."""

    id: str | None
    version: int
    source: bytes

    @classmethod
    def of(cls, id: bytes | None, version: int, source: bytes) -> "Document":
        """Make a document from Spark's bytes, which need not be valid UTF-8."""
        return cls(None if id is None else id.decode(errors="replace"), version, source)

    @property
    def fault(self) -> str | None:
        """What is wrong with the id, if anything: one wrong id would have a whole request refused."""
        if not self.id:
            return "its key is null or empty"
        size = len(self.id.encode())
        return f"its key has {size} bytes, {LONGEST_ID} at most fit" if size > LONGEST_ID else None


@dataclass
class Delivery:
    """The documents of one Arrow batch: each is `pending` until it is stored or a dead letter."""

    client: Elasticsearch
    index: str
    pending: list[Document]
    letters: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for document in self.pending:
            if document.fault:
                self._refuse(document, document.fault)
        self.pending = [document for document in self.pending if not document.fault]

    def send(self, url: str) -> None:
        """Send the pending documents; raises Unavailable if some of them are still pending then."""
        done, again = 0, []
        try:
            with cluster.errors(url, f"index {self.index}"):
                for document, result in zip(self.pending, self._results(), strict=True):
                    done += 1
                    if error := self._settle(document, result):
                        again.append((document, error))
        finally:
            self.pending = [document for document, _ in again] + self.pending[done:]
        if again:
            raise Unavailable(f"index {self.index} in {cluster.place(url)}: {len(again)} documents: {again[0][1]}")

    def _results(self) -> Iterator[dict[str, Any]]:
        stamp = f',"{STAMP}":"{datetime.now(UTC).isoformat(timespec="milliseconds")}"}}'.encode()

        def action(document: Document) -> tuple[dict[str, Any], bytes]:
            head = {"_id": document.id, "version": document.version, "version_type": "external_gte"}
            return {"index": head}, document.source[:-1] + stamp

        done = streaming_bulk(
            self.client, self.pending, chunk_size=CHUNK, max_chunk_bytes=CHUNK_BYTES,  # type: ignore[arg-type]
            expand_action_callback=action, raise_on_error=False, index=self.index,  # type: ignore[arg-type]
            filter_path=["items.*.status", "items.*.error"],
        )  # fmt: skip
        return (result["index"] for _, result in done)

    def _settle(self, document: Document, result: dict[str, Any]) -> str | None:
        """Take note of an answer; returns what went wrong if a retry may help, else None."""
        status = result["status"]
        if status in STORED or status == CONFLICT:
            return None
        kind, reason = result["error"]["type"], _reason(result["error"])
        if status in cluster.AGAIN:
            return reason
        if status != WRONG or kind in NOT_THE_DOCUMENTS:
            raise ConfigError(f"index {self.index} takes no documents: {reason}")
        self._refuse(document, reason)
        return None

    def _refuse(self, document: Document, reason: str) -> None:
        text = f"Elasticsearch refused document {document.id!r:.100}: {reason}"
        self.letters.append(letters.letter(document.source, text, topic=self.index))


def _reason(error: dict[str, Any]) -> str:
    """Return the type and text of an error, with those of its cause."""
    causes = [error, error.get("caused_by")]
    return "; ".join(f"{each['type']}: {each.get('reason')}" for each in causes if each)
