"""Define the jobs that analyse posts: what each reads, its query, its result and default sinks."""

from argparse import ArgumentParser, BooleanOptionalAction
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from pyspark.sql import DataFrame

from millrace.applications import inputs
from millrace.applications.job import Application, Flows, Job
from millrace.applications.outputs import flow
from millrace.kafka import results
from millrace.kafka.parse import Fold
from millrace.kafka.results import Result
from millrace.queries import authors, counts, dashboard, engagement, filtered, hashtags, languages
from millrace.spark.options import Options, lateness, realtime, weights, windows
from millrace.spark.supervisor import Flow

BOTH = ("kafka", "sqlite")
SEARCHED = ("kafka", "elasticsearch")


def windowed(query: Callable[..., DataFrame], columns: Sequence[str], result: Result) -> Flows:
    """Return a function that makes the flow of `query(posts, window, slide, lateness)`, which gives `result`.

    The posts have `columns`.
    """

    def flows(application: Application, options: Options) -> list[Flow]:
        args = options.args
        posts = inputs.posts(inputs.records(application.spark, options), options, columns)
        return [flow(options, query(posts, args.window, args.slide, args.lateness), result)]

    return flows


def tallied(
    fold: Callable[[str, str | None], Fold],
    count: Callable[[DataFrame, str, str | None], DataFrame],
    result: Result,
) -> Flows:
    """Return a function that makes the flow of counted posts: folded batch by batch, then summed up to `result`."""

    def flows(application: Application, options: Options) -> list[Flow]:
        args, records = options.args, inputs.records(application.spark, options)
        tallies = inputs.folded(records, fold(args.window, args.slide), options)
        return [flow(options, count(tallies, args.window, args.slide), result)]

    return flows


def _scored(parser: ArgumentParser) -> None:
    weights(parser)
    windows(parser)


def _weights(options: Options) -> engagement.Weights:
    return engagement.Weights(options.args.replies, options.args.reblogs, options.args.favourites)


def _engagement(application: Application, options: Options) -> list[Flow]:
    records = inputs.records(application.spark, options)
    args, worth, each = options.args, _weights(options), options.part("windows")
    scores = engagement.post_engagement(inputs.posts(records, options, engagement.COLUMNS), worth)
    readings = inputs.posts(records, each, engagement.WINDOW_COLUMNS)
    averages = engagement.engagement_windows(readings, worth, args.window, args.slide, args.lateness)
    return [flow(options, scores, results.ENGAGEMENT), flow(each, averages, results.ENGAGEMENT_WINDOWS)]


def _dashboard(application: Application, options: Options) -> list[Flow]:
    return windowed(
        lambda posts, *window: dashboard.dashboard(posts, _weights(options), *window),
        dashboard.COLUMNS,
        results.DASHBOARD,
    )(application, options)


def _filters(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--language", action="append", default=[], metavar="TAG", help='such as en, or pt, also "pt-BR"; repeatable')
    add("--keyword", action="append", default=[], metavar="WORD", help="anywhere in the text; repeatable")
    add("--bots", action=BooleanOptionalAction, help="only posts by bots, or none (default: all)")
    realtime(parser)
    lateness(parser)


def _filtered(application: Application, options: Options) -> list[Flow]:
    args = options.args
    posts = inputs.posts(inputs.records(application.spark, options), options, filtered.COLUMNS)
    return [flow(options, filtered.filtered(posts, args.language, args.keyword, args.bots), results.FILTERED)]


def _per_post(parser: ArgumentParser, default: bool = False) -> None:
    text = "the hashtags of each post, uncounted"
    parser.add_argument("--per-post", action="store_true", default=default, help=text)
    windows(parser)


def _hashtags(application: Application, options: Options) -> list[Flow]:
    if not options.args.per_post:
        return tallied(hashtags.fold, hashtags.count_uses, results.HASHTAG_COUNTS)(application, options)
    posts = inputs.posts(inputs.records(application.spark, options), options, hashtags.PER_POST)
    return [flow(options, hashtags.post_hashtags(posts), results.POST_HASHTAGS)]


def _regions(parser: ArgumentParser) -> None:
    parser.add_argument("--regions", action="store_true", help="count en-US and en-GB apart (default: both as en)")
    windows(parser)


def _languages(application: Application, options: Options) -> list[Flow]:
    fold = partial(languages.fold, regions=options.args.regions)
    return tallied(fold, languages.count, results.LANGUAGE_COUNTS)(application, options)


ENGAGEMENT = Job(
    "engagement", "what reactions each post got, and their average per window", _engagement, _scored,
    (*BOTH, "elasticsearch"),
)  # fmt: skip
HASHTAGS = Job(
    "hashtags", "how many posts carried each hashtag, per window", _hashtags, _per_post,
    lambda args: SEARCHED if args.per_post else ("sqlite",),
)  # fmt: skip
POST_HASHTAGS = replace(HASHTAGS, add=partial(_per_post, default=True), sinks=SEARCHED)
FILTERED = Job("filtered", "posts of a language, with a word, by bots or not", _filtered, _filters, ("kafka",))
LANGUAGES = Job(
    "languages", "posts per language and window", _languages, _regions, ("sqlite", "elasticsearch")
)  # fmt: skip
AUTHORS = Job(
    "authors", "posts per author and window", tallied(authors.fold, authors.count, results.AUTHOR_COUNTS)
)  # fmt: skip
COUNTS = Job(
    "counts", "posts per window of ten seconds", tallied(counts.fold, counts.count, results.POST_COUNTS),
    partial(windows, length="10 seconds"), BOTH,
)  # fmt: skip
DASHBOARD = Job(
    "dashboard", "posts, authors, bots, scores and top language per minute", _dashboard, _scored, BOTH
)  # fmt: skip
ANALYSES = (ENGAGEMENT, HASHTAGS, FILTERED, LANGUAGES, AUTHORS, COUNTS, DASHBOARD)
