"""The job that makes stock candles: of which symbols, from which trades, at which resolutions."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from pyspark.sql import DataFrame

from millrace import names
from millrace.applications import inputs
from millrace.applications.candle_targets import Targets
from millrace.applications.job import Application, Job
from millrace.errors import ConfigError
from millrace.kafka import market, parse, results, topics
from millrace.queries import candle_parts, candles
from millrace.sinks.registry import SINKS
from millrace.sinks.sink import Need
from millrace.spark.arguments import topic
from millrace.spark.options import Options, lateness
from millrace.spark.supervisor import Flow

GAPS_EVERY = "1 seconds"
OF_TRADES = ("topic", "resolution", "bad_prints", "deduplicate")  # options that mean nothing with --from-topics


def _arguments(parser: ArgumentParser) -> None:
    """Add the job's own options."""
    add = parser.add_argument
    add("symbols", nargs="*", metavar="SYMBOL", help="such as BINANCE:BTCUSDT or AAPL; each has a topic of its own")
    add("--resolution", action="append", metavar="1m", help="length of a candle; repeatable (default 1m)")
    add("--from-topics", nargs="+", type=topic, metavar="TOPIC", help="store the candles of these symbols' topics")
    text = "leave out trades farther from their window's median price than this, such as 5%%"
    add("--bad-prints", type=share, metavar="PERCENT", help=text)
    add("--gaps", choices=("none", "flat"), default="none", help="flat: per-symbol views fill windows without trades")
    lateness(parser, "trade")


def _sinks(args: Namespace) -> Sequence[str]:
    """Return the default sinks."""
    return ("sqlite",) if args.from_topics else ("kafka", "sqlite")


def share(text: str) -> Decimal:
    """Return a percentage such as 5% as a fraction of one; for argparse."""
    try:
        value = Decimal(text.removesuffix("%")) / 100
    except InvalidOperation:
        value = Decimal(0)
    if value.is_nan() or not 0 < value <= 1:
        raise ArgumentTypeError(f"{text!r} is no percentage between 0 and 100")
    return value


def check(options: Options) -> None:
    """Raise ConfigError for symbols, sinks and resolutions that do not go together."""
    args = options.args
    if bool(args.symbols) == bool(args.from_topics):
        raise ConfigError("name symbols, such as BINANCE:BTCUSDT AAPL, or topics of candles by --from-topics")
    if args.from_topics and any(SINKS[name].need is Need.TOPIC for name in args.sink):
        raise ConfigError("--from-topics reads from Kafka: it goes with sqlite, mysql, postgres, clickhouse or console")
    shaping = [f"--{name.replace('_', '-')}" for name in OF_TRADES if args.from_topics and getattr(args, name)]
    if shaping:
        raise ConfigError(f"{', '.join(shaping)}: --from-topics stores candles as they are, and reads no trades")
    for name in args.sink:
        SINKS[name].require(results.CANDLES)
    names.symbol_topics(args.symbols)
    args.resolution = list(dict.fromkeys(map(candles.resolution, args.resolution or ["1m"])))
    args.topic = args.from_topics or args.topic


def flows(application: Application, options: Options) -> list[Flow]:
    """Return the queries of checked `options`: the candles and, unless from the archive, the feed's gaps."""
    targets = Targets(options, names.symbol_topics(options.args.symbols), application.spark)
    records = inputs.records(application.spark, options)
    rows = market.candles(records) if options.args.from_topics else _candles(records, options)
    candles_flow = Flow(options, rows, targets.writer(), sums=not options.args.from_topics)
    return [candles_flow, _gap_flow(application, options, targets)] if rows.isStreaming else [candles_flow]


def _candles(records: DataFrame, options: Options) -> DataFrame:
    args = options.args
    if args.bad_prints is None and not args.deduplicate:
        parts = parse.folded(records, candle_parts.fold(args.symbols, args.resolution))
        return candles.candles(parts, args.resolution, args.lateness)
    trades = market.trades(records)
    if args.deduplicate:
        trades = inputs.once(trades, options, "connection", "sequence")
    if args.bad_prints is None:
        return candles.candles(candle_parts.parts(trades, args.symbols), args.resolution, args.lateness)
    prints = candles.prints(trades, args.symbols)
    return candles.guarded(prints, args.bad_prints, args.resolution, args.lateness)


def _gap_flow(application: Application, options: Options, targets: Targets) -> Flow:
    """Return the query that writes the feed's gaps to the stores, also while no trade arrives."""
    each = options.part("gaps")
    each.args.topic, each.args.start, each.args.trigger = [topics.GAPS.name], "earliest", GAPS_EVERY
    gaps = market.gaps(inputs.records(application.spark, each), options.args.source)
    return Flow(each, gaps, targets.gap_writer())


CANDLES = Job(
    "candles", "candles of stocks, forex and crypto, of each symbol named", flows, _arguments, _sinks,
    source="finnhub", check=check,
)  # fmt: skip
