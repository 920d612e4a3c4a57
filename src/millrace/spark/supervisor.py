"""Run streaming queries, retry them while servers are away, stop them: `start` for one, `start_all` for several."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException, StreamingQueryException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from millrace.errors import MillraceError
from millrace.sinks.task_errors import reason
from millrace.sinks.together import Direct, Writer
from millrace.spark import progress
from millrace.spark.checkpoint import beginning, lock, place
from millrace.spark.checkpoint.lock import Lock
from millrace.spark.checkpoint.place import Place
from millrace.spark.checkpoint.topics import verify
from millrace.spark.failures import explain, passing
from millrace.spark.launch import recorder
from millrace.spark.options import Options
from millrace.spark.stop import STOP, Stop
from millrace.spark.whole import Lack, whole_windows

log = logging.getLogger(__name__)
PATIENCE = 600.0  # seconds without a batch for which a stream is retried while a server is away
REAL_TIME = "1 minute"  # between checkpoints in real-time mode, each of which pauses the stream


@dataclass(frozen=True)
class Flow:
    """One query of an application: its options, its rows, and the writer of these rows.

    `sums`: what its windows hold is summed up of records, so that one is written only if all its records were read.
    """

    options: Options
    rows: DataFrame
    writer: Writer | Direct
    sums: bool = True


def start(options: Options, rows: DataFrame, writer: Writer | Direct, stop: Stop = STOP) -> None:
    """Write `rows` micro-batch by micro-batch until all are read (--once), SIGTERM or Ctrl-C.

    The current batch is finished first. The checkpoint is locked. While a server is away, the query is restarted with
    backoff, for at most 10 minutes without a batch. Raises MillraceError when the stream cannot go on.
    """
    start_all([Flow(options, rows, writer)], stop)


def start_all(flows: Sequence[Flow], stop: Stop = STOP) -> None:
    """Run several queries at once as `start` does; if one cannot go on, the others finish their batch and stop."""
    if not flows:  # a stop was requested before there were any
        return
    args = flows[0].options.args
    if args.metrics_port and not args.dry_run:
        progress.serve_metrics(args.metrics_port)
    if len(flows) == 1 or args.dry_run:
        for flow in flows:
            _run(flow, stop)
        return
    with ThreadPoolExecutor(len(flows)) as pool:
        running = [pool.submit(_run, flow, stop) for flow in flows]
        ended, going = wait(running, return_when=FIRST_EXCEPTION)
        if going:
            stop.request()
    for each in [*ended, *going]:
        each.result()


def _run(flow: Flow, stop: Stop) -> None:
    options, rows = flow.options, flow.rows
    if options.args.dry_run:
        show(options, rows)
        return
    if not rows.isStreaming:
        _write_once(flow)
        return
    where = place.at(rows.sparkSession, options.checkpoint)
    with ExitStack() as stack:
        held = stack.enter_context(lock.hold(where))
        verify(options, where)
        on_batch = _once(options, rows.sparkSession)
        listener = progress.Progress(options.name, options.settings.home, options.emit, on_batch, checkpoint=where.uri)
        stack.enter_context(listener.listening(rows.sparkSession))
        _supervise(_beginning(flow, stop, where, held), stop, held, listener, options.checkpoint)
    if options.emit == "final" and listener.watermark:  # that of the last batch: by now the listener has heard of it
        log.info("windows that end after %s are held back until later events arrive", listener.watermark)


def _write_once(flow: Flow) -> None:
    """Write rows that are not a stream, as one batch."""
    assert not isinstance(flow.writer, Direct)
    options, rows = flow.options, flow.rows
    summed = flow.sums and "window_start" in rows.columns
    try:
        if summed:
            rows.persist().count()  # what Kafka has beyond the archive is asked for when all is read
        lacks = partial(options.backfill.lacks, rows.sparkSession, options.settings)
        _whole(flow, lacks)(rows, 0)
    except (PySparkException, Py4JJavaError) as error:
        raise MillraceError(f"{options.name} stopped: {reason(error)}") from None
    finally:
        rows.unpersist()


def _whole(flow: Flow, lacks: Callable[[], Sequence[Lack]]) -> Writer:
    assert not isinstance(flow.writer, Direct)
    return whole_windows(flow.writer, lacks, flow.options.topics) if flow.sums else flow.writer


def _beginning(flow: Flow, stop: Stop, where: Place, held: Lock) -> Callable[[], StreamingQuery]:
    options, writer = flow.options, flow.writer
    if isinstance(writer, Direct):
        direct = writer.write(flow.rows).queryName(options.name).outputMode("update")
        direct.option("checkpointLocation", where.uri).trigger(realTime=REAL_TIME)  # type: ignore[call-overload]
        return direct.start
    whole = _whole(flow, partial(beginning.lacks, options, where))
    return lambda: _start_query(options, where, flow.rows, stop.guard(held.guard(whole)))


def _start_query(options: Options, where: Place, rows: DataFrame, writer: Writer) -> StreamingQuery:
    mode = "append" if options.emit == "final" or not rows.isStreaming else "update"
    stream = rows.writeStream.queryName(options.name).outputMode(mode).foreachBatch(writer)
    stream = stream.option("checkpointLocation", where.uri)
    once = options.args.once
    return (
        stream.trigger(availableNow=True).start()
        if once
        else stream.trigger(processingTime=options.args.trigger).start()
    )


def _supervise(
    begin: Callable[[], StreamingQuery], stop: Stop, held: Lock, listener: progress.Progress, checkpoint: str
) -> None:
    pause, gave_up_at, records = 1.0, time.monotonic() + PATIENCE, -1
    while True:
        try:
            _wait(begin(), stop, held, listener)
            return
        except (StreamingQueryException, Py4JJavaError) as error:
            if stop.requested:
                return
            if listener.records != records:  # it read records since the last failure
                pause, gave_up_at, records = 1.0, time.monotonic() + PATIENCE, listener.records
            if not passing(error) or time.monotonic() > gave_up_at:
                raise MillraceError(explain(error, checkpoint)) from None
            log.warning("%s; trying again in %.0f s", reason(error), pause)
            stop.wait(pause)
            pause = min(pause * 2, 30.0)
        if stop.requested:
            return


def _wait(query: StreamingQuery, stop: Stop, held: Lock, listener: progress.Progress) -> None:
    while not query.awaitTermination(1):
        listener.tell_busy(query)
        held.beat()
        if stop.requested:
            stop.finish(query)
            return


def show(options: Options, rows: DataFrame) -> None:
    """Print what a run would do: settings (secrets masked), topics, checkpoint and plan."""
    print(options.settings)  # noqa: T201
    print(f"topics: {', '.join(options.topics)}; emit: {options.emit}; sinks: {', '.join(options.args.sink)}")  # noqa: T201
    print(f"checkpoint: {options.checkpoint}")  # noqa: T201
    rows.explain()


def _once(options: Options, spark: SparkSession) -> Callable[[], None]:
    """Return a function to call after each batch; the first call builds a laptop's missing start-up cache."""
    done = threading.Event()
    local = (spark.sparkContext.master or "").startswith("local")

    def on_batch() -> None:
        if local and not done.is_set():
            done.set()
            recorder.build_in_background(options.bootstrap, options.topics[0])

    return on_batch
