"""Read what a job needs: the records of its topics, or of the archive, and the posts in them."""

import logging
from collections.abc import Iterable
from functools import reduce

from pyspark.sql import DataFrame, SparkSession

from millrace.kafka import expressions, parse, read
from millrace.kafka.parse import Fold
from millrace.spark.options import Options
from millrace.spark.stop import STOP

log = logging.getLogger(__name__)


def records(spark: SparkSession, options: Options) -> DataFrame:
    """Return the committed records of the options' topics as a stream, once those topics exist.

    With --from-archive, return those that the archive holds, not as a stream.
    """
    if options.args.from_archive:
        return archived(spark, options)
    if not options.args.dry_run:
        read.wait_for_topics(options.bootstrap, options.topics, STOP.wait)
    most = None if options.realtime else options.args.max_offsets
    return read.stream(spark, options.bootstrap, options.topics, options.args.start, most)


def archived(spark: SparkSession, options: Options) -> DataFrame:
    """Return the archived records of the options' topics; raises ConfigError if the archive has none of one."""
    from millrace.archive import census, files, rows  # noqa: PLC0415 - few runs need it
    from millrace.archive.log import Log  # noqa: PLC0415

    archive = files.of(options.settings)
    states = {topic: Log(archive, topic).load() for topic in census.chosen(archive, options.topics)}
    for topic, state in states.items():
        for partition, gaps in state.gaps().items():
            log.warning("the archive of %s[%s] lacks offsets: %s", topic, partition, gaps)
    frames = [rows.read(spark, archive.url, topic, state.parts.values()) for topic, state in states.items()]
    return reduce(DataFrame.unionByName, frames)


def posts(records: DataFrame, options: Options, columns: Iterable[str]) -> DataFrame:
    """Return post.v1 rows of `columns`; with --deduplicate each event once, and then with a watermark."""
    if options.realtime:
        return expressions.posts(records, columns)
    if not options.args.deduplicate:
        return parse.posts(records, columns)
    rows = parse.posts(records, dict.fromkeys((*columns, "event_time", "event_id")))
    return once(rows, options, "event_id")


def folded(records: DataFrame, fold: Fold, options: Options) -> DataFrame:
    """Return what `fold` makes of the posts in `records`, with a watermark; with --deduplicate of each event once."""
    if not options.args.deduplicate:
        return parse.folded(records, fold).withWatermark("event_time", options.args.lateness)
    return fold.rows(once(parse.posts(records), options, "event_id"))


def once(rows: DataFrame, options: Options, *key: str) -> DataFrame:
    """Return each of `rows` once by its `key`; a stream forgets keys that are older than the lateness."""
    if not rows.isStreaming:
        return rows.dropDuplicates(list(key))
    return rows.withWatermark("event_time", options.args.lateness).dropDuplicatesWithinWatermark(list(key))
