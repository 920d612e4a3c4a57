"""Posts in windows of ten seconds, to the topic mastodon-counts and the table post_counts.

spark-submit --properties-file spark-conf/local.conf jobs/counts.py
millrace run counts --window 1m --sink console
"""

from functools import partial

from millrace import application, session
from millrace.kafka.topics import POST_COUNTS
from millrace.options import parse, windows
from millrace.queries import counts
from millrace.sinks import tables


def main() -> None:
    options = parse("counts", __doc__, sinks=["kafka", "sqlite"], add=partial(windows, length="10 seconds"))
    args = options.args
    records = application.records(session.create(options), options)
    tallies = application.folded(records, counts.fold(args.window, args.slide), options)
    posts = counts.count(tallies, args.window, args.slide)
    session.start(options, posts, application.writer(options, tables.post_counts, POST_COUNTS))


if __name__ == "__main__":
    application.run(main)
