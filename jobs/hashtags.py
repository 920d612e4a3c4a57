"""Hashtags per window: how many posts carried each, into a table that is right while it changes.

spark-submit --properties-file spark-conf/local.conf jobs/hashtags.py
spark-submit --properties-file spark-conf/local.conf jobs/hashtags.py --window 5m --slide 1m --sink mysql
millrace run hashtags --sink sqlite --sink kafka --trigger 5s
"""

from argparse import ArgumentParser

from millrace import application, session
from millrace.kafka.topics import HASHTAG_COUNTS
from millrace.options import duration, parse
from millrace.queries.hashtags import count_uses, fold
from millrace.sinks import tables


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--window", type=duration, default="1 minutes", help="length of a window (default 1m)")
    parser.add_argument("--slide", type=duration, help="a window begins this often (default: the window)")
    parser.add_argument("--lateness", type=duration, default="10 minutes", help="how late a post may be (default 10m)")


def main() -> None:
    options = parse("hashtags", __doc__, add=arguments)
    args = options.args
    spark = session.create(options)
    records = application.records(spark, options)
    uses = application.folded(records, fold(args.window, args.slide), options)
    counts = count_uses(uses, args.window, args.slide)
    session.start(options, counts, application.writer(options, tables.hashtag_counts, HASHTAG_COUNTS))


if __name__ == "__main__":
    application.run(main)
