"""The job that writes dead letters of topics that others fill: one per record that does not fit its topic's schema."""

from argparse import ArgumentParser

from millrace.applications import inputs
from millrace.applications.job import Application, Job
from millrace.applications.outputs import flow
from millrace.kafka.letters import dead_letters
from millrace.kafka.results import LETTERS
from millrace.spark.arguments import topic
from millrace.spark.options import Options
from millrace.spark.supervisor import Flow


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("topic", nargs="+", type=topic, metavar="TOPIC", help="the topic to watch")


def _flows(application: Application, options: Options) -> list[Flow]:
    return [flow(options, dead_letters(inputs.records(application.spark, options)), LETTERS)]


QUARANTINE = Job(
    "quarantine", "dead letters for a topic that others write", _flows, _arguments, ("kafka",)
)  # fmt: skip
