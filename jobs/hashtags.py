"""Hashtags per window: how many posts carried each, into a table that is right while it changes.

With --per-post those of each post instead, by default to topic and index mastodon-hashtags.

spark-submit --properties-file spark-conf/local.conf jobs/hashtags.py --window 5m --slide 1m --sink mysql
millrace run hashtags --sink sqlite --sink kafka --trigger 5s; millrace run hashtags --per-post
"""

from argparse import ArgumentParser

from pyspark.sql import SparkSession

from millrace import application, session
from millrace.kafka.topics import HASHTAG_COUNTS, POST_HASHTAGS
from millrace.options import Options, parse, windows
from millrace.queries import hashtags
from millrace.sinks import tables

SINKS = {False: ["sqlite"], True: ["kafka", "elasticsearch"]}


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--per-post", action="store_true", help="the hashtags of each post, uncounted")
    windows(parser)


def count(spark: SparkSession, options: Options) -> None:
    args = options.args
    uses = application.folded(application.records(spark, options), hashtags.fold(args.window, args.slide), options)
    counts = hashtags.count_uses(uses, args.window, args.slide)
    session.start(options, counts, application.writer(options, tables.hashtag_counts, HASHTAG_COUNTS))


def list_each(spark: SparkSession, options: Options) -> None:
    posts = application.posts(application.records(spark, options), options, hashtags.PER_POST)
    session.start(options, hashtags.post_hashtags(posts), application.writer(options, None, POST_HASHTAGS))


def main() -> None:
    options = parse("hashtags", __doc__, sinks=lambda args: SINKS[args.per_post], add=arguments)
    {False: count, True: list_each}[options.args.per_post](session.create(options), options)


if __name__ == "__main__":
    application.run(main)
