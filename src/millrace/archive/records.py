"""The archive's files without Spark: the records of a part in the order of their time, and back into files."""

import gzip
import io
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from heapq import merge
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from millrace.archive.files import Files, Status, walk
from millrace.archive.log import Part
from millrace.errors import MillraceError
from millrace.kafka import times

LEVEL = 6  # of gzip: beyond it, time grows and size does not shrink
BATCH = 10_000  # rows
DAMAGED = (OSError, EOFError, ValueError, zlib.error, msgspec.MsgspecError)  # what reading a damaged file raises
SUFFIXES = {"jsonl": ".json.gz", "parquet": ".parquet"}
SCHEMA = pa.schema(
    [
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("timestamp", pa.timestamp("us", tz="UTC")),
        ("headers", pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))),
        ("key", pa.binary()),
        ("value", pa.binary()),
    ]
)


class Record(NamedTuple):
    """One record; in the order of time, and of offsets where that is equal. `timestamp` is milliseconds since 1970."""

    timestamp: int
    partition: int
    offset: int
    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class _Header(msgspec.Struct):
    key: str
    value: str | None = None


class _Line(msgspec.Struct):
    topic: str
    partition: int
    offset: int
    timestamp: str
    headers: list[_Header] | None = None
    key: str | None = None
    key_base64: str | None = None
    value: str | None = None
    value_base64: str | None = None


_DECODER = msgspec.json.Decoder(_Line)
_ENCODER = msgspec.json.Encoder()


def listed(files: Files, topic: str, part: Part) -> list[Status]:
    """Return the files of a part."""
    return [each for each in walk(files, f"source={topic}/{part.folder}") if each.size]


def read(files: Files, topic: str, parts: Iterable[Part]) -> Iterator[Record]:
    """Yield the records of `parts` of one hour in the order of time; each file is in memory, compressed.

    Raises MillraceError that names a damaged file.
    """
    found = [(each.path, part.format) for part in parts for each in listed(files, topic, part)]
    return merge(*(_named(f"{files.url}/{path}", _decoded(files.read(path), form)) for path, form in found))


def write(records: Iterable[Record], form: str) -> bytes:
    """Return the bytes of one file of `form` with these records."""
    return _jsonl(records) if form == "jsonl" else _parquet(records)


def count(data: bytes, form: str) -> int:
    """Return how many records a file holds, all of it read; raises what is in DAMAGED when it is damaged."""
    if form == "parquet":
        return sum(batch.num_rows for batch in _opened(data).iter_batches(BATCH))
    with gzip.open(io.BytesIO(data)) as lines:
        return sum(1 for _ in lines)


def _named(url: str, records: Iterator[Record]) -> Iterator[Record]:
    try:
        yield from records
    except DAMAGED as error:
        raise MillraceError(f"{url} cannot be read: {error}; `millrace archive verify` names all such files") from None


def _decoded(data: bytes, form: str) -> Iterator[Record]:
    return map(_of_line, gzip.open(io.BytesIO(data))) if form == "jsonl" else _of_parquet(data)


def _of_line(text: bytes) -> Record:
    line = _DECODER.decode(text)
    headers = tuple((each.key, _from_base64(each.value)) for each in line.headers or ())
    key = _from_base64(line.key_base64) if line.key is None else line.key.encode()
    value = _from_base64(line.value_base64) if line.value is None else line.value.encode()
    return Record(times.milliseconds(line.timestamp), line.partition, line.offset, line.topic, key, value, headers)


def _of_parquet(data: bytes) -> Iterator[Record]:
    for batch in _opened(data).iter_batches(BATCH, columns=SCHEMA.names):
        micros = batch.column("timestamp").cast(SCHEMA.field("timestamp").type).cast(pa.int64()).to_pylist()
        for row, at in zip(batch.drop_columns(["timestamp"]).to_pylist(), micros, strict=True):
            headers = tuple((each["key"], each["value"]) for each in row["headers"] or ())
            yield Record(at // 1000, row["partition"], row["offset"], row["topic"], row["key"], row["value"], headers)


def _opened(data: bytes) -> pq.ParquetFile:
    return pq.ParquetFile(io.BytesIO(data), coerce_int96_timestamp_unit="us")  # as nanoseconds they end in 2262


def _jsonl(records: Iterable[Record]) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=LEVEL, mtime=0) as packed:
        for record in records:
            packed.write(_ENCODER.encode(_line(record)) + b"\n")
    return out.getvalue()


def _line(record: Record) -> dict[str, Any]:
    headers = [
        {"key": key, "value": None if value is None else b64encode(value).decode()} for key, value in record.headers
    ]
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    when = {"timestamp": f"{times.iso(record.timestamp)[:-1]}000Z"}  # as Spark writes it
    more = {"headers": headers} if headers else {}
    return place | when | more | _text("key", record.key) | _text("value", record.value)


def _text(name: str, value: bytes | None) -> dict[str, str]:
    if value is None:
        return {}
    try:
        return {name: value.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": b64encode(value).decode()}


def _parquet(records: Iterable[Record]) -> bytes:
    out = io.BytesIO()
    with pq.ParquetWriter(out, SCHEMA, compression="zstd") as writer:
        rows: list[dict[str, Any]] = []
        for record in records:
            headers = [{"key": key, "value": value} for key, value in record.headers] or None
            rows.append(record._asdict() | {"timestamp": record.timestamp * 1000, "headers": headers})
            if len(rows) == BATCH:
                writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
                rows.clear()
        writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
    return out.getvalue()


def _from_base64(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text)
