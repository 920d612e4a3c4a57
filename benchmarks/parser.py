"""One core, one Arrow batch, no Spark: ways to get from JSON in Kafka to posts."""

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import msgspec
import orjson
import pyarrow as pa
import pyarrow.json as pj

from benchmarks.fill import PATTERNS, patterns
from benchmarks.report import Figure, ratio
from millrace.kafka.parse import Decoding
from millrace.kafka.posts import Post
from millrace.queries.hashtags import fold

NAME = "parser"
RECORDS = 2_500  # what spark-conf/local.conf puts into one Arrow batch
NEEDED = pa.schema([("source", pa.string()), ("operation", pa.string()), ("hashtags", pa.list_(pa.string()))])


def measure(rounds: int = 25) -> Iterator[Figure]:
    """Yield records/s of each way, as multiples of json's; ours also judges UTF-8, NUL and times."""
    batch = records()
    speeds = {name: RECORDS / seconds(partial(way, batch), rounds) for name, way in WAYS.items()}
    for name, speed in speeds.items():
        yield Figure(NAME, name, speed, "records/s", note=f"{ratio(speed, speeds['json']):.1f}x json")


def records(count: int = RECORDS) -> pa.RecordBatch:
    """Return a batch of posts as Spark hands them over: value (bytes), timestamp."""
    start = 1_790_000_000_000_000
    values = [patterns()[index % PATTERNS].at(index, start + index * 1000)[1] for index in range(count)]
    times = pa.array([start + index * 1000 for index in range(count)], pa.timestamp("us", "UTC"))
    return pa.RecordBatch.from_arrays([pa.array(values, pa.binary()), times], ["value", "timestamp"])


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Return the median of CPU time, of all threads, over `rounds` calls, after one that warms up."""
    work()
    return median(_timed(work) for _ in range(rounds))


def _timed(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _values(batch: pa.RecordBatch) -> list[bytes]:
    values: list[bytes] = batch.column("value").to_pylist()
    return values


def _arrow(batch: pa.RecordBatch) -> pa.Table:
    options = pj.ParseOptions(explicit_schema=NEEDED, unexpected_field_behavior="ignore")
    return pj.read_json(pa.BufferReader(b"\n".join(_values(batch))), parse_options=options)


WAYS: dict[str, Callable[[pa.RecordBatch], object]] = {
    "ours: decode and fold": lambda batch: fold().batch(Decoding(batch)),
    "ours: decode": lambda batch: sum(1 for _ in Decoding(batch)),
    "msgspec alone": lambda batch: list(map(msgspec.json.Decoder(Post).decode, _values(batch))),
    "orjson": lambda batch: list(map(orjson.loads, _values(batch))),
    "pyarrow.json, three columns": _arrow,
    "json": lambda batch: list(map(json.loads, _values(batch))),
}
