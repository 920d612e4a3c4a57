"""Posts of chosen languages, with chosen words, by people or by bots, to the topic mastodon-filtered.

spark-submit --properties-file spark-conf/local.conf jobs/filtered.py --language en --language de --no-bots
millrace run filtered --realtime --language en
millrace run filtered --keyword election --keyword wahl --sink console
"""

from argparse import ArgumentParser, BooleanOptionalAction

from millrace import application, session
from millrace.kafka.topics import FILTERED
from millrace.options import lateness, parse, realtime
from millrace.queries.filtered import COLUMNS, filtered


def arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("--language", action="append", default=[], metavar="TAG", help='such as en, or pt, also "pt-BR"; repeatable')
    add("--keyword", action="append", default=[], metavar="WORD", help="anywhere in the text; repeatable")
    add("--bots", action=BooleanOptionalAction, help="only posts by bots, or none (default: all)")
    realtime(parser)
    lateness(parser)


def main() -> None:
    options = parse("filtered", __doc__, sinks=["kafka"], add=arguments)
    args = options.args
    posts = application.posts(application.records(session.create(options), options), options, COLUMNS)
    kept = filtered(posts, args.language, args.keyword, args.bots)
    session.start(options, kept, application.writer(options, None, FILTERED))


if __name__ == "__main__":
    application.run(main)
