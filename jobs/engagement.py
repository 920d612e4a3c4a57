"""Engagement of each post, at its newest counters, and of each window: average and maximum. Two queries run at once.

engagement_score = 3 x replies + 2 x reblogs + 1 x favourites; the weights are options.

spark-submit --properties-file spark-conf/local.conf jobs/engagement.py
millrace run engagement --replies 1 --reblogs 1 --window 5m --sink postgres
"""

from argparse import ArgumentParser

from millrace import application, session
from millrace.kafka.topics import ENGAGEMENT, ENGAGEMENT_WINDOWS
from millrace.options import parse, weights, windows
from millrace.queries import engagement
from millrace.session import Flow
from millrace.sinks import tables


def arguments(parser: ArgumentParser) -> None:
    weights(parser)
    windows(parser)


def main() -> None:
    options = parse("engagement", __doc__, sinks=["kafka", "sqlite", "elasticsearch"], add=arguments)
    args, each = options.args, options.part("windows")
    worth = engagement.Weights(args.replies, args.reblogs, args.favourites)
    records = application.records(session.create(options), options)
    posts = application.posts(records, options, engagement.COLUMNS)
    scores = engagement.post_engagement(posts, worth)
    readings = application.posts(records, each, engagement.WINDOW_COLUMNS)
    averages = engagement.engagement_windows(readings, worth, args.window, args.slide, args.lateness)
    per_post = Flow(options, scores, application.writer(options, tables.post_engagement, ENGAGEMENT))
    per_window = Flow(each, averages, application.writer(each, tables.engagement_windows, ENGAGEMENT_WINDOWS))
    session.start_all([per_post, per_window])


if __name__ == "__main__":
    application.run(main)
