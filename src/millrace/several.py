"""Several jobs in one Spark application: one JVM and one Python for all, where each alone would have its own."""

from argparse import REMAINDER, ArgumentParser, RawDescriptionHelpFormatter
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from pyspark.sql import SparkSession

from millrace import application, options, selection, session, stocks
from millrace.analyses import ANALYSES, Analysis
from millrace.errors import ConfigError
from millrace.options import Options
from millrace.session import Flow

Part = tuple[Options, Callable[[SparkSession], list[Flow]]]
APART = "+"


def run(doc: str | None) -> None:
    """Run the jobs of the command line, each with the checkpoint that it has alone; when one cannot go on, all stop."""
    parser = ArgumentParser("several", description=doc, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs=REMAINDER, metavar="JOB OPTIONS", help=f"each as for itself, {APART} between two")
    parts = select(parser.parse_args().jobs)
    spark = session.create(replace(parts[0][0], job="several"))
    session.start_all([flow for _, flows in parts for flow in flows(spark)])


def select(argv: Sequence[str]) -> list[Part]:
    """Return the options and the queries of each job; raises ConfigError for what does not go together."""
    parts = [part for line in _lines(argv) for part in _job(line)]
    [(name, count)] = Counter(its.name for its, _ in parts).most_common(1)
    if count > 1:
        raise ConfigError(f"{count} queries would be called {name}: give one of the jobs another --name")
    if any(its.realtime for its, _ in parts):
        raise ConfigError("--realtime goes with a job alone, not with several")
    return parts


def _lines(argv: Sequence[str]) -> Iterator[list[str]]:
    line: list[str] = []
    for word in (*argv, APART):
        if word != APART:
            line.append(word)
            continue
        if not line:
            raise ConfigError(f"name jobs, {APART} between two: hashtags --sink sqlite {APART} candles AAPL")
        yield line
        line = []


def _job(line: list[str]) -> list[Part]:
    name, *argv = line
    if name == "candles":
        its = options.parse(name, None, argv, sinks=stocks.sinks, add=stocks.arguments, source="finnhub")
        stocks.check(its)
        return [(its, partial(stocks.flows, its))]
    if name == "mastodon":
        return [_part(analysis, its) for analysis, its in selection.select(name, None, name, argv)]
    if name not in ANALYSES:
        raise ConfigError(f"no job {name!r} to run with others: it is {', '.join((*ANALYSES, 'candles', 'mastodon'))}")
    analysis = ANALYSES[name]
    return [_part(analysis, options.parse(name, None, argv, sinks=analysis.sinks, add=analysis.add))]


def _part(analysis: Analysis, its: Options) -> Part:
    return its, lambda spark: analysis.flows(application.records(spark, its), its)
