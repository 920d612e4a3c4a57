"""The job that archives topics: where it begins, what each batch took, and that it is alone."""

import json
import logging
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition
from pyspark.sql import DataFrame

from millrace import session
from millrace.archive import files, lease
from millrace.archive.files import Files
from millrace.archive.log import Log
from millrace.errors import ConfigError
from millrace.kafka import browse, read
from millrace.options import Options
from millrace.signals import STOP
from millrace.sinks import hdfs
from millrace.sinks.hdfs import Offsets

log = logging.getLogger(__name__)
TRIGGER = "60 seconds"  # each batch is a file or more


def arguments(parser: ArgumentParser) -> None:
    """Add the job's own options."""
    parser.add_argument("--format", choices=("jsonl", "parquet"), default="jsonl", help="default %(default)s, gzipped")


def run(options: Options) -> None:
    """Archive the topics of `options` to MILLRACE_ARCHIVE_URL; raises MillraceError when another writer does."""
    archive = files.of(options.settings)
    options.args.archive = archive.url  # another archive is another checkpoint
    spark = session.create(options)
    with ExitStack() as stack:
        if not options.args.dry_run:
            read.wait_for_topics(options.bootstrap, options.topics, STOP.wait)
        held = [] if options.args.dry_run else [_hold(stack, archive, topic) for topic in options.topics]
        starts = {} if options.args.dry_run or STOP.requested else beginning(archive, options.bootstrap, options.topics)
        start = json.dumps(starts) if starts else "earliest"
        records = read.stream(spark, options.bootstrap, options.topics, start, options.args.max_offsets, headers=True)
        took = partial(taken, checkpoint=options.checkpoint, starts=starts, web=options.settings.webhdfs_url)
        session.start(options, records, hdfs.append(archive, options.args.format, took, lambda: _check(held)))


def _hold(stack: ExitStack, archive: Files, topic: str) -> lease.Lease:
    return stack.enter_context(lease.hold(archive, f"{Log(archive, topic).root}/_writer"))


def _check(held: Sequence[lease.Lease]) -> None:
    for each in held:
        each.check()


def beginning(archive: Files, bootstrap: str, topics: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return the offset of each partition that an archive without checkpoint goes on with, by topic.

    That is after the highest archived one, else the earliest. Raises ConfigError when a topic ends before: it is
    another topic of that name.
    """
    with browse.consumer(bootstrap) as reader:
        return {topic: _beginning(reader, archive, topic) for topic in topics}


def _beginning(reader: KafkaConsumer, archive: Files, topic: str) -> dict[str, int]:
    archived = Log(archive, topic).load().next()
    partitions = [TopicPartition(topic, number) for number in sorted(reader.partitions_for_topic(topic) or ())]
    earliest, ends = reader.beginning_offsets(partitions), reader.end_offsets(partitions)
    for place in partitions:
        after = archived.get(place.partition, 0)
        if after > ends[place]:
            raise ConfigError(
                f"{topic}[{place.partition}] ends at offset {ends[place]}, but {archive.url} holds it up to {after}:"
                " the topic was made anew; give its archive another MILLRACE_ARCHIVE_URL"
            )
        if 0 < after < earliest[place]:
            log.warning("%s[%s]: offsets %s to %s left the topic before they were archived",
                        topic, place.partition, after, earliest[place])  # fmt: skip
    return {str(each.partition): max(earliest[each], archived.get(each.partition, 0)) for each in partitions}


def taken(
    batch: DataFrame, number: int, *, checkpoint: str, starts: Mapping[str, Mapping[str, int]], web: str | None
) -> dict[str, Offsets]:
    """Return which offsets batch `number` took of each topic, as its checkpoint has it: also where no record was.

    Between records lie markers of transactions, and aborted ones; so rows alone do not tell whether any is missing.
    """
    place = checkpoint if "://" in checkpoint else Path(checkpoint).as_uri()
    if not place.startswith(("file://", "hdfs://")):
        return {}
    offsets = files.at(place, web)
    ends = _planned(offsets, number)
    begins = _planned(offsets, number - 1) if number else starts
    return {
        topic: {
            int(p): (begins.get(topic, {}).get(p, 0), end)
            for p, end in own.items()
            if end > begins.get(topic, {}).get(p, 0)
        }
        for topic, own in ends.items()
    }


def _planned(checkpoint: Files, number: int) -> dict[str, dict[str, int]]:
    *_, line = checkpoint.read(f"offsets/{number}").decode().splitlines()
    planned: dict[str, dict[str, int]] = json.loads(line)
    return planned
