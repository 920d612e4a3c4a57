"""The job of stock candles: which symbols, where their candles go, and what a gap in the feed does to them."""

import logging
import threading
import weakref
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from millrace import application, beginning, names, session
from millrace.arguments import topic
from millrace.durations import seconds
from millrace.errors import ConfigError
from millrace.kafka import market, parse, topics
from millrace.kafka.gaps import Gaps, Span, merged
from millrace.options import SQL_SINKS, Options, lateness
from millrace.queries import candles
from millrace.session import Flow
from millrace.signals import STOP
from millrace.sinks import console, database, kafka, market_topics, sql, tables
from millrace.sinks import market as stores
from millrace.sinks.retry import Patience
from millrace.sinks.together import Writer, together

GAPS_EVERY = "1 seconds"
OF_TRADES = ("topic", "resolution", "bad_prints", "deduplicate")  # options without meaning where candles are stored
log = logging.getLogger(__name__)


def arguments(parser: ArgumentParser) -> None:
    """Add the job's own options."""
    add = parser.add_argument
    add("symbols", nargs="*", metavar="SYMBOL", help="such as BINANCE:BTCUSDT or AAPL; each has a topic of its own")
    add("--resolution", action="append", metavar="1m", help="length of a candle; repeatable (default 1m)")
    add("--from-topics", nargs="+", type=topic, metavar="TOPIC", help="store the candles of these symbols' topics")
    text = "leave out trades farther from their window's median price than this, such as 5%%"
    add("--bad-prints", type=share, metavar="PERCENT", help=text)
    add("--gaps", choices=("none", "flat"), default="none", help="flat: per-symbol views fill windows without trades")
    lateness(parser, "trade")


def sinks(args: Namespace) -> Sequence[str]:
    """Return the default sinks."""
    return ("sqlite",) if args.from_topics else ("kafka", "sqlite")


def share(text: str) -> Decimal:
    """Return a percentage such as 5% as a part of one; for argparse."""
    try:
        value = Decimal(text.removesuffix("%")) / 100
    except InvalidOperation:
        value = Decimal(0)
    if value.is_nan() or not 0 < value <= 1:
        raise ArgumentTypeError(f"{text!r} is no percentage between 0 and 100")
    return value


def run(options: Options) -> None:
    """Make candles of trades, or store those of topics, as `options` say; raises ConfigError before it begins."""
    check(options)
    session.start_all(flows(options, session.create(options)))


def check(options: Options) -> None:
    """Raise ConfigError for symbols, sinks and resolutions that do not go together."""
    args = options.args
    if bool(args.symbols) == bool(args.from_topics):
        raise ConfigError("name symbols, such as BINANCE:BTCUSDT AAPL, or topics of candles by --from-topics")
    if args.from_topics and "kafka" in args.sink:
        raise ConfigError("--from-topics reads from Kafka: it goes with sqlite, mysql, postgres or console")
    shaping = [f"--{name.replace('_', '-')}" for name in OF_TRADES if args.from_topics and getattr(args, name)]
    if shaping:
        raise ConfigError(f"{', '.join(shaping)}: --from-topics stores candles as they are, and reads no trades")
    if "elasticsearch" in args.sink:
        raise ConfigError("--sink elasticsearch: candles have no index; use a SQL store, kafka or console")
    names.symbol_topics(args.symbols)
    args.resolution = list(dict.fromkeys(map(candles.resolution, args.resolution or ["1m"])))
    args.topic = args.from_topics or args.topic


def flows(options: Options, spark: SparkSession) -> list[Flow]:
    """Return the queries of checked `options`: that of the candles, and that of the feed's gaps."""
    targets = Targets(options, names.symbol_topics(options.args.symbols), spark)
    records = application.records(spark, options)
    rows = market.candles(records) if options.args.from_topics else _candles(records, options)
    candles_flow = Flow(options, rows, targets.writer())
    return [candles_flow, _gap_flow(options, targets, spark)] if rows.isStreaming else [candles_flow]


def _candles(records: DataFrame, options: Options) -> DataFrame:
    args = options.args
    if args.bad_prints is None and not args.deduplicate:
        parts = parse.folded(records, candles.fold(args.symbols, args.resolution))
        return candles.candles(parts, args.resolution, args.lateness)
    trades = market.trades(records)
    if args.deduplicate:
        trades = application.once(trades, options, "connection", "sequence")
    if args.bad_prints is None:
        return candles.candles(candles.parts(trades, args.symbols), args.resolution, args.lateness)
    prints = candles.prints(trades, args.symbols)
    return candles.guarded(prints, args.bad_prints, args.resolution, args.lateness)


def _gap_flow(options: Options, targets: "Targets", spark: SparkSession) -> Flow:
    """The query that carries the feed's gaps to the stores, also those that come when no trade does."""
    each = options.part("gaps")
    each.args.topic, each.args.start, each.args.trigger = [topics.GAPS.name], "earliest", GAPS_EVERY
    return Flow(each, market.gaps(application.records(spark, each), options.args.source), targets.gap_writer())


class Targets:
    """Where candles go: what is made there first, how they are written, and how written ones are marked later."""

    def __init__(self, options: Options, by_symbol: Mapping[str, str], spark: SparkSession) -> None:
        self.options, self.topics, self.spark = options, dict(by_symbol), spark
        self._publishing = threading.Lock()  # a candle that is published again, marked, must not follow a newer one
        self.refused: set[str] = set()  # symbols of records whose topic is another symbol's
        self.patience = Patience(sleep=STOP.pause)
        self.urls = {name: options.settings.sql_url(name) for name in options.args.sink if name in SQL_SINKS}
        self.engines = [database.connect(url) for url in self.urls.values()]
        for engine in self.engines:
            weakref.finalize(self, engine.dispose)
        if not options.args.dry_run:
            for url in self.urls.values():
                tables.create(url)
            self._register(self.topics)
            if "kafka" in options.args.sink:
                made = map(topics.candle_topic, self.topics.values())
                topics.create(options.bootstrap, made, options.settings.partitions)

    def _register(self, by_symbol: Mapping[str, str]) -> None:
        for url in self.urls.values():
            stores.register(url, by_symbol, flat=self.options.args.gaps == "flat")

    def writer(self) -> Writer:
        """Write candles, marked by the gaps that are known, then mark what was written before a gap was known."""
        inner = together(*map(self._sink, self.options.args.sink))
        gaps = Gaps(self.options.bootstrap, self.options.args.source)
        began = False

        def write(batch: DataFrame, batch_id: int) -> None:
            nonlocal began
            fresh = gaps.fresh()
            if not began:  # what was known at the start, the gaps' own query takes care of
                fresh, began = [], True
            from_topics = self.options.args.from_topics  # whose candles know what they lack
            rows = self._noted(batch.persist()) if from_topics else batch
            unseen = [] if from_topics else beginning.unseen(self.options, batch_id)
            with self._publishing:
                inner(candles.flagged(rows, [*gaps.known, *unseen]), batch_id)
            self.touch([*fresh, *gaps.fresh()])
            self._note_progress(batch_id)
            batch.unpersist()

        weakref.finalize(write, gaps.close)  # a writer is a function: nobody closes it
        return write

    def _sink(self, name: str) -> Writer:
        if name in self.urls:
            return sql.upsert(self.urls[name], tables.candles, patience=self.patience)
        if name == "kafka":
            made = {symbol: topics.candle_topic(name) for symbol, name in self.topics.items()}
            return kafka.publish_by("symbol", made, self.options.bootstrap)
        return console.show()

    def _noted(self, batch: DataFrame) -> DataFrame:
        """Give new symbols a view; returns the rows of those that have one."""
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
        for engine in self.engines if watermark else ():  # --from-topics has none: the row is that of who made them
            stores.note_progress(engine, self.options.name, batch_id, watermark, self.patience)

    def _watermark(self) -> datetime | None:
        """Return the watermark of the batch at hand, which follows from the progress of the one before."""
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
        """Write gaps into the table of them and mark the candles that they touch."""
        gap_tables = [sql.upsert(url, tables.gaps, patience=self.patience) for url in self.urls.values()]

        def write(batch: DataFrame, batch_id: int) -> None:
            found = batch.persist()
            for each in gap_tables:
                each(found, batch_id)
            self.touch([(row.gap_start.astimezone(UTC), row.gap_end.astimezone(UTC)) for row in found.collect()])
            found.unpersist()

        return write

    def touch(self, gaps: Sequence[Span]) -> None:
        """Mark the candles that one of `gaps` touches as incomplete, where they were written before."""
        spans = merged(gaps)
        if not spans:
            return
        for engine in self.engines:
            stores.mark_incomplete(engine, spans, self.patience)
        if "kafka" in self.options.args.sink:
            longest = timedelta(seconds=max(map(seconds, self.options.args.resolution)))
            with self._publishing:
                market_topics.mark_incomplete(self.options.bootstrap, self.topics.values(), spans, longest)
