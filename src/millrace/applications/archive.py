"""The job that archives topics: where it begins, which offsets each batch took, and that it is the only writer."""

import json
import logging
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping, Sequence
from functools import partial

from kafka import KafkaConsumer, TopicPartition
from pyspark.sql import DataFrame

from millrace.applications.job import Application, Job
from millrace.archive import files, lease
from millrace.archive.files import Files
from millrace.archive.log import Log
from millrace.errors import ConfigError
from millrace.kafka import browse, read
from millrace.sinks.archive import single_file
from millrace.sinks.archive.single_file import Journal
from millrace.sinks.archive.sink import ARCHIVE as SINK_OF_RECORDS
from millrace.sinks.archive.writer import Offsets, append
from millrace.sinks.together import Writer
from millrace.spark.checkpoint import place
from millrace.spark.options import Options
from millrace.spark.stop import STOP
from millrace.spark.supervisor import Flow

log = logging.getLogger(__name__)
SINK = SINK_OF_RECORDS.name
SINGLE = "kafka_demo/tweets_data.json"
TRIGGER = "60 seconds"  # each batch writes at least one file
Starts = Mapping[str, Mapping[str, int]]  # the first offset to read, by topic and partition


def _arguments(parser: ArgumentParser) -> None:
    """Add the job's own options."""
    layout = parser.add_mutually_exclusive_group()
    layout.add_argument("--format", choices=("jsonl", "parquet"), default="jsonl", help="default %(default)s, gzipped")
    text = f"append to one file of JSON lines instead, through pydoop on HDFS (default {SINGLE}, in the archive)"
    layout.add_argument("--single-file", nargs="?", const=SINGLE, type=_below, metavar="PATH", help=text)


def _below(path: str) -> str:
    parts = path.split("/")
    if any(part.startswith((".", "_")) or not part for part in parts):
        raise ArgumentTypeError(f"{path!r} is no path below the archive, such as {SINGLE}; no part begins with . or _")
    return path


def check(options: Options) -> None:
    """Raise ConfigError for options with which the archive would not keep every record as it came."""
    if options.args.sink != [SINK] or options.args.from_archive:
        raise ConfigError("the archive is where records go: --sink and --from-archive are for the other jobs")
    shaping = {"--from latest": options.args.start != "earliest", "--deduplicate": options.args.deduplicate,
               "--emit": options.args.emit}  # fmt: skip
    if wrong := [name for name, given in shaping.items() if given]:
        raise ConfigError(f"{', '.join(wrong)}: the archive keeps every record as it came")
    options.args.archive = files.of(options.settings).url  # so that another archive gets another checkpoint


def flows(application: Application, options: Options) -> list[Flow]:
    """Return the query that archives the topics of `options`; raises MillraceError when another writer does so."""
    archive = files.of(options.settings)
    held, starts = [], {}
    if not options.args.dry_run:
        read.wait_for_topics(options.bootstrap, options.topics, STOP.wait)
        held = [
            application.held.enter_context(lease.hold(archive, f"{each}/_writer")) for each in places(options, archive)
        ]
        if STOP.requested:
            return []
        starts = beginning(options, archive)
    start = json.dumps(starts) if starts else "earliest"
    records = read.stream(
        application.spark, options.bootstrap, options.topics, start, options.args.max_offsets, headers=True
    )  # fmt: skip
    return [Flow(options, records, _writer(options, archive, starts, held))]


def places(options: Options, archive: Files) -> list[str]:
    """Return the folders that have one writer each."""
    if options.args.single_file:
        return [Journal(archive, options.args.single_file).folder]
    return [Log(archive, topic).root for topic in options.topics]


def _writer(options: Options, archive: Files, starts: Starts, held: Sequence[lease.Lease]) -> Writer:
    def check() -> None:
        for each in held:
            each.check()

    took = partial(taken, checkpoint=options.checkpoint, starts=starts)
    if options.args.single_file:
        return single_file.append(archive, options.args.single_file, took, check)
    return append(archive, options.args.format, took, check)


def beginning(options: Options, archive: Files) -> dict[str, dict[str, int]]:
    """Return the offset from which an archive without a checkpoint goes on, by topic and partition.

    That is after the highest archived one, else the earliest. Raises ConfigError when a topic ends before that: it is
    another topic of the same name.
    """
    with browse.consumer(options.bootstrap) as reader:
        return {
            topic: _beginning(reader, topic, _archived(options, archive, topic), archive) for topic in options.topics
        }


def _archived(options: Options, archive: Files, topic: str) -> dict[int, int]:
    if options.args.single_file:
        state = Journal(archive, options.args.single_file).load()
        return {int(partition): end for partition, end in state.offsets.get(topic, {}).items()} if state else {}
    return Log(archive, topic).load().next()


def _beginning(reader: KafkaConsumer, topic: str, archived: Mapping[int, int], archive: Files) -> dict[str, int]:
    partitions = [TopicPartition(topic, number) for number in sorted(reader.partitions_for_topic(topic) or ())]
    earliest, ends = reader.beginning_offsets(partitions), reader.end_offsets(partitions)
    for each in partitions:
        after = archived.get(each.partition, 0)
        if after > ends[each]:
            raise ConfigError(
                f"{topic}[{each.partition}] ends at offset {ends[each]}, but {archive.url} holds it up to {after}:"
                " the topic was made anew; give its archive another MILLRACE_ARCHIVE_URL"
            )
        if 0 < after < earliest[each]:
            log.warning("%s[%s]: offsets %s to %s left the topic before they were archived",
                        topic, each.partition, after, earliest[each])  # fmt: skip
    return {str(each.partition): max(earliest[each], archived.get(each.partition, 0)) for each in partitions}


def taken(batch: DataFrame, number: int, *, checkpoint: str, starts: Starts) -> dict[str, Offsets]:
    """Return which offsets batch `number` took of each topic, as its checkpoint has it: also where no record was.

    Between records lie markers of transactions, and aborted records; so rows alone do not tell whether any is missing.
    """
    offsets = place.at(batch.sparkSession, checkpoint).files
    ends = _planned(offsets, number)
    begins = _planned(offsets, number - 1) if number else _began(offsets) or starts
    return {
        topic: {
            int(p): (begins.get(topic, {}).get(p, 0), end)
            for p, end in own.items()
            if end > begins.get(topic, {}).get(p, 0)
        }
        for topic, own in ends.items()
    }


def _planned(checkpoint: Files, number: int) -> dict[str, dict[str, int]]:
    return _last_line(checkpoint.read(f"offsets/{number}"))


def _began(checkpoint: Files) -> dict[str, dict[str, int]]:
    """Return where the first batch began: a job that planned it and died resumes there, wherever it would begin now."""
    try:
        return _last_line(checkpoint.read("sources/0/0"))
    except FileNotFoundError:
        return {}


def _last_line(text: bytes) -> dict[str, dict[str, int]]:
    *_, line = text.decode().splitlines()
    offsets: dict[str, dict[str, int]] = json.loads(line)
    return offsets


ARCHIVE = Job(
    "archive", "every record of a topic as it came, to a folder or HDFS", flows, _arguments, (SINK,),
    trigger=TRIGGER, check=check,
)  # fmt: skip
