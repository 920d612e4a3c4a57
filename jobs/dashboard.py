"""One line a minute: posts, authors, bots, average engagement, top language.

The view minute_dashboard adds the top hashtag, which job hashtags counts.

spark-submit --properties-file spark-conf/local.conf jobs/dashboard.py
millrace run dashboard --sink console
"""

from argparse import ArgumentParser

from millrace import application, session
from millrace.kafka.topics import DASHBOARD
from millrace.options import parse, weights, windows
from millrace.queries import dashboard
from millrace.queries.engagement import Weights
from millrace.sinks import tables


def arguments(parser: ArgumentParser) -> None:
    weights(parser)
    windows(parser)


def main() -> None:
    options = parse("dashboard", __doc__, sinks=["kafka", "sqlite"], add=arguments)
    args = options.args
    posts = application.posts(application.records(session.create(options), options), options, dashboard.COLUMNS)
    worth = Weights(args.replies, args.reblogs, args.favourites)
    minutes = dashboard.dashboard(posts, worth, args.window, args.slide, args.lateness)
    session.start(options, minutes, application.writer(options, tables.dashboard_windows, DASHBOARD))


if __name__ == "__main__":
    application.run(main)
