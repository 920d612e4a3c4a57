"""Append micro-batches of Kafka records to the archive, a folder or HDFS: each record once, as it came."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from millrace.archive import rows
from millrace.archive.files import FULL, Files
from millrace.archive.log import Entry, Log, Part, State, odd
from millrace.errors import MillraceError, Unavailable
from millrace.sinks.task_errors import reason
from millrace.sinks.together import Writer

log = logging.getLogger(__name__)
ROWS_PER_TASK = 100_000  # so that a small batch makes few files
_AWAY = ("Connection refused", "ConnectException", "could only be written to", "SafeMode", "SocketTimeout", "NoRoute",
         "RetriableException", "EOFException", "StandbyException", "All datanodes", "Unable to close file",
         "Connection reset", "AlreadyBeingCreated", "ClosedChannel", "BlockMissing")  # fmt: skip

Offsets = Mapping[int, tuple[int, int]]  # partition: first, one beyond the last
Read = Callable[[DataFrame, int], Mapping[str, Offsets]]  # the offsets that a batch took from each topic, if known


@dataclass
class _Topic:
    log: Log
    state: State


@dataclass
class _Archive:
    """Where and how a writer writes, with the state of the topics it has seen; any failure clears that."""

    files: Files
    form: str
    check: Callable[[], object]
    known: dict[str, _Topic] = field(default_factory=dict)

    def topic(self, name: str) -> _Topic:
        """Return a topic's log and the state that it gives."""
        if name not in self.known:
            found = Log(self.files, name)
            self.known[name] = _Topic(found, found.load())
        return self.known[name]


def append(
    files: Files,
    form: str = "jsonl",
    read: Read = lambda batch, number: {},
    check: Callable[[], object] = lambda: None,
) -> Writer:
    """Write each micro-batch of Kafka records below `files.url` as source=TOPIC/date=/hour=/batch_id=, in `form`.

    Rows have the columns of `rows.KAFKA`; date and hour are those of the timestamp, UTC. `read` returns the offsets
    that a batch took from each topic; where it returns none, those of the rows count. `check` raises when the writer
    may not go on. Raises Unavailable while the file system is away, MillraceError when it is full or has the records
    already.

    Delivery: exactly once: a batch counts from the moment its log entry is there, and is not written again.
    """
    archive = _Archive(files, form, check)

    def write(batch: DataFrame, batch_id: int) -> None:
        try:
            _write(archive, batch, generation_of(batch), batch_id, read(batch, batch_id))
        except BaseException:
            archive.known.clear()
            raise

    return write


def generation_of(batch: DataFrame) -> str:
    """Return the start of Spark's query id, which all batches of one checkpoint share, and no others."""
    query = batch.sparkSession.sparkContext.getLocalProperty("sql.streaming.queryId")
    return query.partition("-")[0] if query else "batch"


def _write(archive: _Archive, batch: DataFrame, generation: str, number: int, taken: Mapping[str, Offsets]) -> None:
    if taken and all(archive.topic(name).state.has(generation, number) for name in taken):
        return
    now = datetime.now(UTC)
    records = rows.shaped(batch, archive.form).persist()
    try:
        counts = _counts(records)
        names = sorted({row["source"] for row in counts} | set(taken))
        fresh = [name for name in names if not archive.topic(name).state.has(generation, number)]
        wanted = sum(row["rows"] for row in counts if row["source"] in fresh)
        if wanted:
            chosen = records.filter(F.col("source").isin(fresh)).withColumn("batch_id", F.lit(f"{generation}-{number}"))
            _save(chosen, archive.files.url, archive.form, 1 + wanted // ROWS_PER_TASK)
    except (PySparkException, Py4JJavaError) as error:
        raise explained(error, archive.files.url) from None
    finally:
        records.unpersist()
    archive.check()
    for name in fresh:
        own = [row for row in counts if row["source"] == name]
        parts = _parts(own, archive.form, f"{generation}-{number}")
        for part in parts:
            if odd(part.hour, now):
                log.warning("%s: %s rows without a time, or of one that no clock showed, are kept in %s",
                            name, part.rows, part.folder)  # fmt: skip
        entry = Entry(generation, number, taken.get(name) or _offsets(own), parts, at=now.isoformat())
        archive.topic(name).log.commit(entry, archive.topic(name).state)


def _counts(records: DataFrame) -> list[Row]:
    return (
        records.groupBy("source", "date", "hour", "partition")
        .agg(F.count("*").alias("rows"), F.min("offset").alias("first"), F.max("offset").alias("last"))
        .collect()
    )


def _save(records: DataFrame, url: str, form: str, tasks: int) -> None:
    """Write the partitions of this batch, replacing what a killed attempt left in them."""
    ordered = records.coalesce(tasks).sortWithinPartitions(*rows.PARTITIONS, "timestamp", "partition", "offset")
    writer = ordered.write.mode("overwrite").option("partitionOverwriteMode", "dynamic").partitionBy(*rows.PARTITIONS)
    writer.options(**rows.COMPRESSION[form]).format(rows.FORMATS[form]).save(url)


def _offsets(counts: list[Row]) -> Offsets:
    partitions = {row["partition"] for row in counts}
    own = {number: [row for row in counts if row["partition"] == number] for number in partitions}
    return {
        number: (min(row["first"] for row in found), 1 + max(row["last"] for row in found))
        for number, found in own.items()
    }


def _parts(counts: list[Row], form: str, batch: str) -> list[Part]:
    totals: dict[str, int] = {}
    for row in counts:
        hour = f"date={row['date']}/hour={row['hour']}"
        totals[hour] = totals.get(hour, 0) + row["rows"]
    return [Part(hour, batch, form, total) for hour, total in sorted(totals.items())]


def explained(error: Exception, place: str) -> MillraceError:
    """Return our error for one of the file system: that it is full, Unavailable if it is away for now, or neither."""
    text = str(error)
    if full := next((word for word in FULL if word in text), None):
        return MillraceError(f"{place} is full ({full}): make room; {reason(error)}")
    kind = Unavailable if any(word in text for word in _AWAY) else MillraceError
    return kind(f"{place}: {reason(error)}")
