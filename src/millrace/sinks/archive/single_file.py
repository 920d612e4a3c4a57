"""Append micro-batches of Kafka records to one file of JSON lines: through pydoop on HDFS, else a local file.

Appending is not idempotent. So a journal beside the file notes its length after each batch: what lies beyond that
length was left by a crash, and is cut off before the next batch is written.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from millrace.archive import hadoop_client, rows
from millrace.archive.files import Files, local
from millrace.errors import MillraceError, Unavailable
from millrace.kafka.documents import JSON
from millrace.sinks.archive.writer import Offsets, Read, explained, generation_of
from millrace.sinks.together import Writer

CHUNK = 1 << 20  # bytes per write to HDFS
CLOSING = 120  # seconds that HDFS may take to close a file whose writer died


@dataclass(frozen=True)
class State:
    """The file after a batch: its length in bytes, and one beyond the last offset, by topic and partition."""

    number: int = 0
    length: int = 0
    generation: str = ""
    batch: int = -1
    offsets: dict[str, dict[str, int]] = field(default_factory=dict)


class Journal:
    """The states of the file at `path` of `files`, kept in a folder beside it; the newest counts."""

    def __init__(self, files: Files, path: str) -> None:
        self.files, self.path = files, path
        folder, _, name = path.rpartition("/")
        self.folder = f"{folder}/_{name}".lstrip("/")

    def load(self) -> State | None:
        """Return the newest state, None if there is none."""
        names = self._names()
        return State(**json.loads(self.files.read(names[-1]))) if names else None

    def begin(self) -> State:
        """Note that the file, which does not exist yet, will be ours; returns its state."""
        self._create(State())
        return State()

    def save(self, state: State) -> None:
        """Store `state` as the newest and remove the older ones."""
        old = self._names()
        self._create(state)
        for name in old:
            self.files.remove(name)

    def length(self) -> int | None:
        """Return the length of the file as it is, None if it does not exist."""
        found = {each.path: each.size for each in self.files.list(self.path.rpartition("/")[0])}
        return found.get(self.path)

    def _create(self, state: State) -> None:
        self.files.create(f"{self.folder}/{state.number:012}.json", json.dumps(asdict(state)).encode())

    def _names(self) -> list[str]:
        found = [each.path for each in self.files.list(self.folder)]
        return sorted(path for path in found if path.endswith(".json") and not path.rpartition("/")[2].startswith("_"))


def append(
    files: Files,
    path: str,
    read: Read = lambda batch, number: {},
    check: Callable[[], object] = lambda: None,
) -> Writer:
    """Append each micro-batch of Kafka records to the file `path` of `files`, as the archive's JSON lines.

    For `read` and `check` see `writer.append`. Raises ConfigError if the file is on HDFS and pydoop is not built,
    Unavailable while HDFS is away, MillraceError when it is full, or the file is shorter than it was.

    Delivery: exactly once: a batch counts once the journal has its length, and what a crash left behind is cut off.
    """
    journal = Journal(files, path)
    if files.url.startswith("hdfs:"):
        hadoop_client.client()
    known: list[State] = []

    def write(batch: DataFrame, batch_id: int) -> None:
        generation = generation_of(batch)
        try:
            state = known.pop() if known else _recover(batch.sparkSession, journal)
            if state.generation != generation or state.batch < batch_id:
                taken = read(batch, batch_id)
                state = _write(journal, state, batch, (generation, batch_id), taken=taken, check=check)
        except (PySparkException, Py4JJavaError) as error:
            raise explained(error, f"{files.url}/{path}") from None
        known.append(state)

    return write


def _write(
    journal: Journal,
    state: State,
    batch: DataFrame,
    id: tuple[str, int],
    *,
    taken: Mapping[str, Offsets],
    check: Callable[[], object],
) -> State:
    ends = {topic: {str(p): end for p, (_, end) in own.items()} for topic, own in (taken or _taken(batch)).items()}
    for topic, own in taken.items():
        for partition, (first, _) in own.items():
            if first < state.offsets.get(topic, {}).get(str(partition), 0):
                raise MillraceError(f"{journal.files.url}/{journal.path} holds offset {first} of {topic}[{partition}]"
                                    " already: another writer is at work")  # fmt: skip
    check()
    written = 0
    with _opened(journal) as out:
        for chunk in _chunks(batch):
            out.write(chunk)
            written += len(chunk)
    if journal.length() != state.length + written:
        raise MillraceError(f"{journal.files.url}/{journal.path} is {journal.length()} bytes long,"
                            f" not {state.length + written}: another writer is at work")  # fmt: skip
    check()
    offsets = {topic: state.offsets.get(topic, {}) | ends.get(topic, {}) for topic in {*state.offsets, *ends}}
    after = State(state.number + 1, state.length + written, *id, offsets)
    journal.save(after)
    return after


def _chunks(batch: DataFrame) -> Iterator[bytes]:
    lines = rows.shaped(batch, "jsonl").drop("source", "date", "hour").coalesce(1)
    ordered = lines.sortWithinPartitions("topic", "partition", "offset")
    waiting, size = [], 0
    for (line,) in ordered.select(F.to_json(F.struct("*"), JSON | {"ignoreNullFields": "true"})).toLocalIterator():
        waiting.append(f"{line}\n".encode())
        size += len(waiting[-1])
        if size >= CHUNK:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


def _taken(batch: DataFrame) -> dict[str, Offsets]:
    found: dict[str, dict[int, tuple[int, int]]] = {}
    least, most = F.min("offset").alias("first"), F.max("offset").alias("last")
    for row in batch.groupBy("topic", "partition").agg(least, most).collect():
        found.setdefault(row["topic"], {})[row["partition"]] = row["first"], row["last"] + 1
    return dict(found)


@contextmanager
def _opened(journal: Journal) -> Iterator[IO[bytes]]:
    """Open the file for appending, and close it in any case."""
    url = f"{journal.files.url}/{journal.path}"
    if not url.startswith("hdfs:"):
        with local(url).open("ab") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())  # the journal is durable, so what it counts must be
        return
    try:
        with hadoop_client.client().open(url, "ab") as out:
            yield out
    except OSError as error:  # it says little of why: unless HDFS is full, a retry may help
        found = explained(error, url)
        raise (found if "is full" in str(found) else Unavailable(str(found))) from None


def _recover(spark: SparkSession, journal: Journal) -> State:
    """Return the state of the file, after creating it if it is missing and cutting off what a crash left.

    A file without a journal belongs to somebody else, if there is anything in it.
    """
    found, length = journal.load(), journal.length()
    url = f"{journal.files.url}/{journal.path}"
    if found is None and length:
        raise MillraceError(f"{url} holds {length} bytes that no job of millrace wrote: move it away, or name another")
    state = found or journal.begin()
    if length is None and not state.length:
        journal.files.write(journal.path, b"")
        return state
    if url.startswith("hdfs:"):
        _recover_lease(spark, url)
        length = journal.length()
    if length is None or length < state.length:
        raise MillraceError(f"{url} is {length or 0} bytes long, its journal says {state.length}: put the file back, or"
                            " remove it with the folder that begins with _ beside it")  # fmt: skip
    if length > state.length:
        _cut(spark, url, state.length)
    return state


def _cut(spark: SparkSession, url: str, length: int) -> None:
    if not url.startswith("hdfs:"):
        with local(url).open("r+b") as file:
            file.truncate(length)
        return
    system, path = _hadoop(spark, url)
    if not system.truncate(path, length):  # in the middle of a block: HDFS still has to close it
        _recover_lease(spark, url)


def _recover_lease(spark: SparkSession, url: str) -> None:
    """Take the file from a writer that died; HDFS would do so by itself, but only after a minute."""
    system, path = _hadoop(spark, url)
    deadline = time.monotonic() + CLOSING
    while not (system.recoverLease(path) and system.isFileClosed(path)):
        if time.monotonic() > deadline:
            raise Unavailable(f"{url}: HDFS has not closed the file of a writer that died")
        time.sleep(0.2)


def _hadoop(spark: SparkSession, url: str) -> tuple[Any, Any]:
    context: Any = spark.sparkContext
    path = context._jvm.org.apache.hadoop.fs.Path(url)
    return path.getFileSystem(context._jsc.hadoopConfiguration()), path
