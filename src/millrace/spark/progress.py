"""Report a job's progress: a run file for testers and the live view, one log line per batch, Prometheus metrics."""

import hashlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any

from prometheus_client import Gauge, start_http_server
from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from millrace.kafka.parse import OBSERVED

log = logging.getLogger("millrace.progress")

_GAUGES = {
    "input_rows_per_second": "Records read a second",
    "processed_rows_per_second": "Records processed a second",
    "batch_seconds": "Time that the last micro-batch took",
    "state_rows": "Rows of state",
    "watermark_lag_seconds": "Now minus the watermark",
    "kafka_lag": "Records in Kafka not yet read",
    "late_rows": "Rows dropped behind the watermark since the start, at least",
    "bad_records": "Bad records skipped since the start",
    "sink_rows": "Rows handed to the sinks since the start, by queries with state",
}
_METRICS = {key: Gauge(f"millrace_{key}", text, ["job"]) for key, text in _GAUGES.items()}


BUSY = 15.0  # seconds without a report after which a running batch is reported


class Progress:
    """Write each micro-batch's progress to `run/<name>.json`, the log and the metrics.

    While a job of that name runs on another checkpoint, the file is `run/<name>-<id>.json`, with an id of its own
    checkpoint's: each tells how far it is itself.

    Spark's JVM calls this listener itself: pyspark's own listener builds its events with many calls into the JVM, this
    one gets the same as JSON in one.
    """

    def __init__(
        self, name: str, home: Path, emit: str, on_batch: Callable[[], None] = lambda: None, *, checkpoint: str = ""
    ) -> None:
        self.name, self.checkpoint = name, checkpoint
        self.path = home / "run" / f"{name}.json"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.emitted = "numRowsRemoved" if emit == "final" else "numRowsUpdated"  # what the last operator hands on
        self.on_batch = on_batch
        self.bad = self.late = self.sink_rows = self.records = 0
        self.state: dict[str, Any] = {}
        self.watermark: str | None = None
        self.terminated = threading.Event()
        self.terminated.set()  # nothing runs yet
        self.query: str | None = None  # its id: Spark tells every listener of every query
        self.told = self.said = time.monotonic()  # when the last batch ended; when anything was last reported
        self._writing = threading.Lock()  # Spark's thread reports batches, ours one that takes long

    @contextmanager
    def listening(self, spark: SparkSession) -> Iterator[None]:
        """Receive the query's events during the block and, at its end, wait for Spark's late event that it ended."""
        gateway: Any = spark.sparkContext._gateway
        ensure_callback_server_started(gateway)  # type: ignore[no-untyped-call]
        streams = spark.streams._jsqm
        listener = gateway.jvm.org.apache.spark.sql.streaming.PythonStreamingQueryListenerWrapper(self)
        with run_file(self.path, self.checkpoint) as self.path:
            streams.addListener(listener)
            try:
                yield
            finally:
                self.terminated.wait(10)
                streams.removeListener(listener)

    def onQueryStarted(self, event: Any) -> None:
        """Report that the query has started."""
        if event.name() != self.name:
            return
        self.query = str(event.id())
        self.terminated.clear()
        self.state = {"state": "started"}
        self._tell(self.state)

    def onQueryProgress(self, event: Any) -> None:
        """Report what a batch did, and log it if it had input rows."""
        progress = json.loads(event.json())["progress"]
        if progress["name"] != self.name:
            return
        self._add(progress)
        self.state = state = self._describe(progress)
        self._tell(state)
        for key in _METRICS.keys() & state.keys():
            _METRICS[key].labels(self.name).set(state[key] or 0)
        if progress["numInputRows"]:
            log.info("batch", extra={"fields": state})
            self.on_batch()

    def onQueryIdle(self, event: Any) -> None:
        """Update the timestamp in the run file while no records arrive, to show that the query lives."""
        if str(event.id()) == self.query:
            self._tell(self.state | {"timestamp": event.timestamp()})

    def tell_busy(self, query: StreamingQuery) -> None:
        """Warn now and then that a batch is taking long: a store may hang, and nothing else would report it."""
        if time.monotonic() - self.said < BUSY or not (status := query.status)["isTriggerActive"]:
            return
        with self._writing:
            self.said = time.monotonic()
            seconds = round(self.said - self.told)
            log.warning("the batch at hand has taken %d s so far: %s", seconds, status["message"])
            self._write(self.state | {"busy_seconds": seconds})

    def onQueryTerminated(self, event: Any) -> None:
        """Note the query's end, so that the listener is not removed before Spark has told it everything."""
        if str(event.id()) == self.query:
            self.terminated.set()

    class Java:
        implements = ("org.apache.spark.sql.streaming.PythonStreamingQueryListener",)

    def _add(self, progress: dict[str, Any]) -> None:
        self.records += progress["numInputRows"]
        self.bad += (progress.get("observedMetrics") or {}).get(OBSERVED, {}).get("bad") or 0
        operators = progress["stateOperators"]
        self.late += sum(operator.get("numRowsDroppedByWatermark", 0) for operator in operators)
        self.sink_rows += sum(operator[self.emitted] for operator in operators[-1:])

    def _describe(self, progress: dict[str, Any]) -> dict[str, Any]:
        source = progress["sources"][0] if progress["sources"] else {}
        self.watermark = watermark = progress.get("eventTime", {}).get("watermark")
        return {
            "state": "running",
            "batch_id": progress["batchId"],
            "timestamp": progress["timestamp"],
            "watermark": watermark,
            "watermark_lag_seconds": _age(watermark),
            "end_offsets": source.get("endOffset"),
            "kafka_lag": lag(source),
            "input_rows": progress["numInputRows"],
            "records": self.records,
            "input_rows_per_second": progress.get("inputRowsPerSecond"),
            "processed_rows_per_second": progress.get("processedRowsPerSecond"),
            "batch_seconds": progress["durationMs"].get("triggerExecution", 0) / 1000,
            "phases_ms": progress["durationMs"],
            "state_rows": sum(operator["numRowsTotal"] for operator in progress["stateOperators"]),
            "late_rows": self.late,
            "bad_records": self.bad,
            "sink_rows": self.sink_rows,
        }

    def _tell(self, state: dict[str, Any]) -> None:
        with self._writing:
            self.told = self.said = time.monotonic()
            self._write(state)

    def _write(self, state: dict[str, Any]) -> None:
        fresh = self.path.with_suffix(".part")
        told = {"job": self.name, "checkpoint": self.checkpoint, "pid": os.getpid(), **state}
        fresh.write_text(json.dumps(told, indent=1))
        fresh.replace(self.path)


@contextmanager
def run_file(path: Path, checkpoint: str) -> Iterator[Path]:
    """Hold a job's run file during the block: `path`, or one of its checkpoint's own while another job has that."""
    own = path.with_stem(f"{path.stem}-{hashlib.sha256(checkpoint.encode()).hexdigest()[:8]}")
    with path.with_suffix(".lock").open("a") as lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            log.warning("another %s runs with this home: this one tells its progress in %s", path.stem, own)
            yield own
            return
        own.unlink(missing_ok=True)  # of an earlier run beside another
        yield path


def lag(source: dict[str, Any]) -> int | None:
    """Return how many records a Kafka source has yet to read, None before the first read."""
    latest, done = source.get("latestOffset"), source.get("endOffset")
    if not isinstance(latest, dict) or not isinstance(done, dict):
        return None
    ends = ((topic, number, end) for topic, numbers in latest.items() for number, end in numbers.items())
    return sum(int(end) - int(done.get(topic, {}).get(number, 0)) for topic, number, end in ends)


def _age(watermark: str | None) -> float | None:
    if not watermark or watermark.startswith("1970"):
        return None
    return round(time.time() - datetime.fromisoformat(watermark).timestamp(), 1)


def serve_metrics(port: int) -> None:
    """Serve the Prometheus metrics at http://127.0.0.1:PORT/metrics."""
    start_http_server(port, addr="127.0.0.1")
