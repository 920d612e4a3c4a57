"""Dead letters for a topic that others write: each record that is no post.v1, its place and the reason.

In finnhub-trades: each that is no trade.v1.

spark-submit --properties-file spark-conf/local.conf jobs/quarantine.py bluesky-raw-posts
millrace run quarantine tweets --once
"""

from argparse import ArgumentParser

from millrace import application, session
from millrace.arguments import topic
from millrace.kafka.letters import KEY, dead_letters
from millrace.kafka.topics import DEAD_LETTERS
from millrace.options import parse
from millrace.sinks import kafka


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("topic", nargs="+", type=topic, metavar="TOPIC", help="the topic to watch")


def main() -> None:
    options = parse("quarantine", __doc__, sinks=["kafka"], add=arguments)
    spark = session.create(options)
    letters = dead_letters(application.records(spark, options))
    session.start(options, letters, kafka.publish(DEAD_LETTERS, KEY, options.bootstrap))


if __name__ == "__main__":
    application.run(main)
