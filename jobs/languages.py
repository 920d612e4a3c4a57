"""Languages per window: how many posts were written in each; the view language_shares has their shares.

spark-submit --properties-file spark-conf/local.conf jobs/languages.py
millrace run languages --source bluesky --window 5m --sink postgres
"""

from millrace import application, session
from millrace.kafka.topics import LANGUAGE_COUNTS
from millrace.options import parse, windows
from millrace.queries import languages
from millrace.sinks import tables


def main() -> None:
    options = parse("languages", __doc__, sinks=["sqlite", "elasticsearch"], add=windows)
    args = options.args
    records = application.records(session.create(options), options)
    tallies = application.folded(records, languages.fold(args.window, args.slide), options)
    posts = languages.count(tallies, args.window, args.slide)
    session.start(options, posts, application.writer(options, tables.language_counts, LANGUAGE_COUNTS))


if __name__ == "__main__":
    application.run(main)
