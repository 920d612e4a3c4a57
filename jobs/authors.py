"""Authors per window: how many posts each wrote; the view most_active_authors ranks them.

spark-submit --properties-file spark-conf/local.conf jobs/authors.py
millrace run authors --window 1h --sink mysql
"""

from millrace import application, session
from millrace.kafka.topics import AUTHOR_COUNTS
from millrace.options import parse, windows
from millrace.queries import authors
from millrace.sinks import tables


def main() -> None:
    options = parse("authors", __doc__, add=windows)
    args = options.args
    records = application.records(session.create(options), options)
    tallies = application.folded(records, authors.fold(args.window, args.slide), options)
    posts = authors.count(tallies, args.window, args.slide)
    session.start(options, posts, application.writer(options, tables.author_counts, AUTHOR_COUNTS))


if __name__ == "__main__":
    application.run(main)
