"""Stop on SIGTERM and Ctrl-C: finish and commit the current micro-batch, then end."""

import signal
import threading
import time
from typing import Any

from pyspark.java_gateway import ensure_callback_server_started
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from millrace.errors import MillraceError, Unavailable
from millrace.sinks.together import Writer

GRACE = 20.0  # seconds for the current batch; after them it is interrupted, and replayed at the next start


LAST_WAIT = 5.0


class Stop:
    """A request to stop, and how a query honours it: no batch begins, the current one has GRACE seconds to finish."""

    def __init__(self) -> None:
        self._requested = threading.Event()
        self._between = threading.Event()  # no batch is being written
        self._between.set()

    @property
    def requested(self) -> bool:
        """Whether a stop was requested."""
        return self._requested.is_set()

    def request(self, *_: Any) -> None:
        """Request a stop; also works as a signal handler."""
        self._requested.set()

    def wait(self, seconds: float) -> bool:
        """Wait for `seconds`, or until a stop is requested; returns whether it is."""
        return self._requested.wait(seconds)

    def pause(self, seconds: float) -> None:
        """Wait before a store is tried again; raises Unavailable as soon as a stop is requested."""
        if self.wait(seconds):
            raise Unavailable("asked to stop while a store was away: the batch is replayed at the next start")

    def guard(self, writer: Writer) -> Writer:
        """Return a writer that refuses to begin a batch once a stop is requested."""

        def write(batch: DataFrame, batch_id: int) -> None:
            self._between.clear()
            try:
                if self.requested:
                    batch.sparkSession.sparkContext.setLogLevel("OFF")  # Spark would print this as a failure
                    raise MillraceError("asked to stop before this batch")
                writer(batch, batch_id)
            finally:
                self._between.set()

        return write

    def finish(self, query: StreamingQuery) -> None:
        """Let the current batch be written and committed for up to GRACE seconds, then stop the query.

        Raises MillraceError if the query has not stopped LAST_WAIT seconds after that.
        """
        deadline = time.monotonic() + GRACE
        self._between.wait(GRACE)
        while query.isActive and query.status["isTriggerActive"] and time.monotonic() < deadline:
            time.sleep(0.1)
        stopping = threading.Thread(target=query.stop, daemon=True)
        stopping.start()
        stopping.join(max(deadline - time.monotonic(), 0) + LAST_WAIT)
        if stopping.is_alive():
            raise MillraceError(
                "the batch at hand did not end in time: it was cut off, and is replayed at the next start"
            )

    def listen(self, spark: SparkSession) -> None:
        """Route SIGTERM and SIGINT here for good, also those that reach the JVM (spark-submit is the JVM)."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.request)
        gateway: Any = spark.sparkContext._gateway
        ensure_callback_server_started(gateway)  # type: ignore[no-untyped-call]
        handler = _JvmHandler(self)
        for name in ("TERM", "INT"):
            gateway.jvm.sun.misc.Signal.handle(gateway.jvm.sun.misc.Signal(name), handler)


class _JvmHandler:
    """A sun.misc.SignalHandler that calls back into Python."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    def handle(self, _: Any) -> None:
        self._stop.request()

    class Java:
        implements = ("sun.misc.SignalHandler",)


STOP = Stop()  # one for the process, as signals are
