"""The job that gathers tweets in windows and puts case numbers beside them, which are asked for anew now and then."""

import logging
from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import asdict

from pyspark.sql import DataFrame, SparkSession

from millrace.applications import inputs, outputs
from millrace.applications.job import Application, Job
from millrace.cases.latest import Latest
from millrace.cases.rows import WORLD
from millrace.cases.source import SOURCES, loader
from millrace.durations import seconds
from millrace.errors import ConfigError
from millrace.kafka.results import TWEET_CASES
from millrace.names import CASE_NUMBERS
from millrace.queries import cases, tweets
from millrace.sinks.together import Direct, Writer
from millrace.spark.arguments import length_of_time
from millrace.spark.options import Options, windows
from millrace.spark.supervisor import Flow

log = logging.getLogger(__name__)
NUMBERS = f"country STRING, {', '.join(f'{name} BIGINT' for name in CASE_NUMBERS)}, as_of STRING, source_url STRING"


def _arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    text = f"case numbers: {', '.join(SOURCES)}, file:PATH or a URL of either (default %(default)s)"
    add("--cases", default="worldometers", metavar="SOURCE", help=text)
    add("--country", default=WORLD, metavar="NAME", help="whose numbers, as the source calls it (default %(default)s)")
    text = "ask for the numbers again this often, beside the stream (default 1h)"
    add("--refresh", type=length_of_time, default="60 minutes", metavar="1h", help=text)
    text = "texts of a window at most, the first ones by event time (default %(default)s)"
    add("--max-texts", type=_texts, default=1_000, metavar="N", help=text)
    windows(parser, "20 seconds")


def _texts(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= tweets.MOST_TEXTS:
        raise ArgumentTypeError(f"{text!r} is no number from 1 to {tweets.MOST_TEXTS}")
    return int(text)


def check(options: Options) -> None:
    """Raise ConfigError for a source of numbers that is none."""
    loader(options.args.cases)


def _flows(application: Application, options: Options) -> list[Flow]:
    args = options.args
    posts = inputs.posts(inputs.records(application.spark, options), options, tweets.COLUMNS)
    rows = tweets.tweet_windows(posts, args.window, args.slide, args.lateness, max_texts=args.max_texts)
    return [Flow(options, rows, _documents(options, application.spark))]


def _documents(options: Options, spark: SparkSession) -> Writer:
    """Return the writer of windows: each batch gets the numbers that are known when it is written.

    Raises ConfigError for a country that is none, before anything is read; --dry-run asks nobody.
    """
    args, inner = options.args, outputs.writer(options, TWEET_CASES)
    if isinstance(inner, Direct):
        raise ConfigError("cases gathers windows, which --realtime does not")
    if args.dry_run:
        return inner
    latest = Latest(loader(args.cases), seconds(args.refresh), args.country, say=log.warning)

    def write(batch: DataFrame, batch_id: int) -> None:
        row = latest.row()
        numbers = spark.createDataFrame([asdict(row) | {"as_of": row.as_of.isoformat()}], NUMBERS)
        log.debug("numbers of %s, as of %s, of %s", row.country, row.as_of, row.source_url)
        inner(cases.cases(batch, numbers, row.country).drop("matched"), batch_id)

    return write


CASES = Job(
    "cases", "tweets per window of twenty seconds, with case numbers beside them", _flows, _arguments, ("mongodb",),
    source="tweets", check=check,
)  # fmt: skip
