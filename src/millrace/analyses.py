"""The analyses: the query, table, topic, default sinks and own options of each, for its own job and for several in one.

A job in `jobs/` runs one of them; `jobs/mastodon.py` runs any number in one Spark application (`selection`).
"""

from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pyspark.sql import DataFrame
from sqlalchemy import Table

from millrace import application, session
from millrace.kafka import topics
from millrace.kafka.parse import Fold
from millrace.kafka.topics import Topic
from millrace.options import Options, lateness, parse, realtime, weights, windows
from millrace.queries import authors, counts, dashboard, engagement, filtered, hashtags, languages
from millrace.session import Flow
from millrace.sinks import tables


@dataclass(frozen=True)
class Analysis:
    """One analysis: `flows` makes its queries of Kafka records and options, `add` adds its own options to a parser.

    `sinks` are its default ones, or tell them by the other options.
    """

    name: str
    flows: Callable[[DataFrame, Options], list[Flow]]
    add: Callable[[ArgumentParser], Any] = windows
    sinks: Sequence[str] | Callable[[Namespace], Sequence[str]] = ("sqlite",)


def run(analysis: Analysis, doc: str | None) -> None:
    """Run `analysis` by the command line, as its job does; `doc` is the help's text."""
    options = parse(analysis.name, doc, sinks=analysis.sinks, add=analysis.add)
    session.start_all(analysis.flows(application.records(session.create(options), options), options))


def _flow(options: Options, rows: DataFrame, table: Table | None, topic: Topic) -> Flow:
    return Flow(options, rows, application.writer(options, table, topic))


def _tally(
    name: str,
    fold: Callable[[str, str | None], Fold],
    count: Callable[[DataFrame, str, str | None], DataFrame],
    table: Table,
    topic: Topic,
    *,
    sinks: Sequence[str] = ("sqlite",),
    length: str = "1 minutes",
) -> Analysis:
    """Return an analysis that counts posts in windows of `length`: folded batch by batch, then summed up."""

    def flows(records: DataFrame, options: Options) -> list[Flow]:
        args = options.args
        tallies = application.folded(records, fold(args.window, args.slide), options)
        return [_flow(options, count(tallies, args.window, args.slide), table, topic)]

    return Analysis(name, flows, partial(windows, length=length), sinks)


def _scored(parser: ArgumentParser) -> None:
    weights(parser)
    windows(parser)


def _weights(options: Options) -> engagement.Weights:
    return engagement.Weights(options.args.replies, options.args.reblogs, options.args.favourites)


def _engagement(records: DataFrame, options: Options) -> list[Flow]:
    args, worth, each = options.args, _weights(options), options.part("windows")
    scores = engagement.post_engagement(application.posts(records, options, engagement.COLUMNS), worth)
    readings = application.posts(records, each, engagement.WINDOW_COLUMNS)
    averages = engagement.engagement_windows(readings, worth, args.window, args.slide, args.lateness)
    return [
        _flow(options, scores, tables.post_engagement, topics.ENGAGEMENT),
        _flow(each, averages, tables.engagement_windows, topics.ENGAGEMENT_WINDOWS),
    ]


def _dashboard(records: DataFrame, options: Options) -> list[Flow]:
    args = options.args
    posts = application.posts(records, options, dashboard.COLUMNS)
    rows = dashboard.dashboard(posts, _weights(options), args.window, args.slide, args.lateness)
    return [_flow(options, rows, tables.dashboard_windows, topics.DASHBOARD)]


def _filters(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--language", action="append", default=[], metavar="TAG", help='such as en, or pt, also "pt-BR"; repeatable')
    add("--keyword", action="append", default=[], metavar="WORD", help="anywhere in the text; repeatable")
    add("--bots", action=BooleanOptionalAction, help="only posts by bots, or none (default: all)")
    realtime(parser)
    lateness(parser)


def _filtered(records: DataFrame, options: Options) -> list[Flow]:
    args = options.args
    posts = application.posts(records, options, filtered.COLUMNS)
    return [_flow(options, filtered.filtered(posts, args.language, args.keyword, args.bots), None, topics.FILTERED)]


def _per_post(parser: ArgumentParser, default: bool = False) -> None:
    text = "the hashtags of each post, uncounted"
    parser.add_argument("--per-post", action="store_true", default=default, help=text)
    windows(parser)


def _hashtags(records: DataFrame, options: Options) -> list[Flow]:
    if not options.args.per_post:
        return _TAGS.flows(records, options)
    posts = application.posts(records, options, hashtags.PER_POST)
    return [_flow(options, hashtags.post_hashtags(posts), None, topics.POST_HASHTAGS)]


BOTH = ("kafka", "sqlite")
SEARCHED = ("kafka", "elasticsearch")
_TAGS = _tally("hashtags", hashtags.fold, hashtags.count_uses, tables.hashtag_counts, topics.HASHTAG_COUNTS)

ENGAGEMENT = Analysis("engagement", _engagement, _scored, (*BOTH, "elasticsearch"))
HASHTAGS = Analysis("hashtags", _hashtags, _per_post, lambda args: SEARCHED if args.per_post else ("sqlite",))
POST_HASHTAGS = Analysis("hashtags", _hashtags, partial(_per_post, default=True), SEARCHED)
FILTERED = Analysis("filtered", _filtered, _filters, ("kafka",))
LANGUAGES = _tally(
    "languages",
    languages.fold,
    languages.count,
    tables.language_counts,
    topics.LANGUAGE_COUNTS,
    sinks=("sqlite", "elasticsearch"),
)
AUTHORS = _tally("authors", authors.fold, authors.count, tables.author_counts, topics.AUTHOR_COUNTS)
COUNTS = _tally(
    "counts", counts.fold, counts.count, tables.post_counts, topics.POST_COUNTS, sinks=BOTH, length="10 seconds"
)
DASHBOARD = Analysis("dashboard", _dashboard, _scored, BOTH)

ANALYSES = {each.name: each for each in (ENGAGEMENT, HASHTAGS, FILTERED, LANGUAGES, AUTHORS, COUNTS, DASHBOARD)}
