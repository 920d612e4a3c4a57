"""Write candles to their sinks, and mark those as incomplete that were written before a gap in the feed was known."""

import logging
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from millrace import names
from millrace.applications.outputs import target
from millrace.durations import seconds
from millrace.kafka import results, topics
from millrace.kafka.gaps import Gaps, Span, merged
from millrace.kafka.results import TopicBy
from millrace.queries import candles
from millrace.sinks import candle_topics, registry
from millrace.sinks.registry import SINKS
from millrace.sinks.sink import Need
from millrace.sinks.sql import candles as stores
from millrace.sinks.sql import database, tables
from millrace.sinks.sql.writer import upsert
from millrace.sinks.together import Writer
from millrace.spark.checkpoint import place
from millrace.spark.options import Options

log = logging.getLogger(__name__)


class Targets:
    """The sinks of candles: creates what they need, makes their writers, and marks written candles as incomplete."""

    def __init__(self, options: Options, by_symbol: Mapping[str, str], spark: SparkSession) -> None:
        self.options, self.topics, self.spark = options, dict(by_symbol), spark
        self._publishing = threading.Lock()  # a republished candle must not follow a newer one
        self.refused: set[str] = set()  # symbols whose topic or view is another symbol's
        self.target = target(options)
        self.chosen = [SINKS[name] for name in options.args.sink]
        self.urls = [options.settings.store_url(sink.name) for sink in self.chosen if sink.relational]
        self.engines = [database.connect(url) for url in self.urls]
        for engine in self.engines:
            weakref.finalize(self, engine.dispose)
        if self.target.prepare:
            for url in self.urls:
                tables.create(url)
            self._register(self.topics)

    def _register(self, by_symbol: Mapping[str, str]) -> None:
        for url in self.urls:
            stores.register(url, by_symbol, flat=self.options.args.gaps == "flat")

    def writer(self) -> Writer:
        """Return the writer of candles: it flags them by known gaps, and marks those written before a gap was known."""
        inner = self._candles()
        gaps = Gaps(self.options.bootstrap, self.options.args.source)
        began = False

        def write(batch: DataFrame, batch_id: int) -> None:
            nonlocal began
            fresh = gaps.fresh()
            if not began:  # gaps known at the start are left to their own query
                fresh, began = [], True
            from_topics = self.options.args.from_topics  # such candles are flagged already
            rows = self._noted(batch.persist()) if from_topics else batch
            with self._publishing:
                inner(candles.flagged(rows, gaps.known), batch_id)
            self.touch([*fresh, *gaps.fresh()])
            self._note_progress(batch_id)
            batch.unpersist()

        weakref.finalize(write, gaps.close)  # a writer is a function: nobody closes it
        return write

    def _candles(self) -> Writer:
        made = {symbol: topics.candle_topic(name) for symbol, name in self.topics.items()}
        result = replace(results.CANDLES, topic=TopicBy("symbol", made))
        return registry.writer(self.options.args.sink, result, self.target)

    def _noted(self, batch: DataFrame) -> DataFrame:
        """Give new symbols a view; returns the rows of those symbols that have one."""
        found = {row.symbol for row in batch.select("symbol").distinct().collect()}
        for symbol in sorted(found - self.topics.keys() - self.refused):
            topic = names.symbol_topic(symbol)
            try:
                self._register({symbol: topic})
                self.topics[symbol] = topic
            except stores.Taken as error:
                log.error("candles of %s are left out: %s", symbol, error)
                self.refused.add(symbol)
        return batch.filter(~F.col("symbol").isin(self.refused)) if self.refused else batch

    def _note_progress(self, batch_id: int) -> None:
        watermark = self._watermark()
        for engine in self.engines if watermark else ():  # none with --from-topics: who makes the candles writes it
            stores.note_progress(
                engine, self.options.name, batch_id, watermark, self.target.patience, checkpoint=self._checkpoint
            )

    @cached_property
    def _checkpoint(self) -> str:
        return place.at(self.spark, self.options.checkpoint).uri

    def _watermark(self) -> datetime | None:
        """Return the watermark of the current batch, which follows from the progress of the one before."""
        found = [query.lastProgress for query in self.spark.streams.active if query.name == self.options.name]
        if not found or not found[0]:
            return None
        times: dict[str, str] = dict(found[0]["eventTime"])
        known = [datetime.fromisoformat(times["watermark"])] if "watermark" in times else []
        if "max" in times:
            late = timedelta(seconds=seconds(self.options.args.lateness))
            known.append(datetime.fromisoformat(times["max"]) - late)
        return max(known, default=None)

    def gap_writer(self) -> Writer:
        """Return the writer that upserts gaps into their table and marks the candles that they touch."""
        gap_tables = [upsert(url, tables.gaps, patience=self.target.patience) for url in self.urls]

        def write(batch: DataFrame, batch_id: int) -> None:
            found = batch.persist()
            for each in gap_tables:
                each(found, batch_id)
            self.touch([(row.gap_start.astimezone(UTC), row.gap_end.astimezone(UTC)) for row in found.collect()])
            found.unpersist()

        return write

    def touch(self, gaps: Sequence[Span]) -> None:
        """Mark candles that were written before and that one of `gaps` touches as incomplete."""
        spans = merged(gaps)
        if not spans:
            return
        for engine in self.engines:
            stores.mark_incomplete(engine, spans, self.target.patience)
        for sink in self.chosen:
            if sink.mark:
                sink.mark(self.options.settings, spans, self.target.patience)
        if any(sink.need is Need.TOPIC for sink in self.chosen):
            longest = timedelta(seconds=max(map(seconds, self.options.args.resolution)))
            with self._publishing:
                candle_topics.mark_incomplete(self.options.bootstrap, self.topics.values(), spans, longest)
