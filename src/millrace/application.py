"""What a job does around its transform: read what the options name, choose the sinks, end with the right exit code."""

import logging
import os
import sys
from collections.abc import Callable, Iterable
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from sqlalchemy import Table

from millrace import logs
from millrace.errors import ConfigError, MillraceError
from millrace.kafka import expressions, letters, parse, read
from millrace.kafka.parse import Fold
from millrace.kafka.topics import DEAD_LETTERS, Topic, create
from millrace.options import SQL_SINKS, Options
from millrace.signals import STOP
from millrace.sinks import console, kafka, sql, tables
from millrace.sinks.retry import Patience
from millrace.sinks.together import Writer, together

log = logging.getLogger(__name__)


def run(main: Callable[[], None]) -> None:
    """Run a job's main and end the process: 0 finished, 1 failed, 2 configuration; errors are one line on stderr."""
    logs.reclaim_stderr()
    logs.configure()
    try:
        main()
    except MillraceError as error:
        print(f"millrace: {error}", file=sys.stderr)  # noqa: T201
        sys.stderr.flush()
        os._exit(2 if isinstance(error, ConfigError) else 1)


def records(spark: SparkSession, options: Options) -> DataFrame:
    """Return the committed records of the options' topics as a stream, once those topics exist.

    By --from-archive those that the archive holds, not as a stream.
    """
    if options.args.from_archive:
        return archived(spark, options)
    if not options.args.dry_run:
        read.wait_for_topics(options.bootstrap, options.topics, STOP.wait)
    most = None if options.realtime else options.args.max_offsets
    return read.stream(spark, options.bootstrap, options.topics, options.args.start, most)


def archived(spark: SparkSession, options: Options) -> DataFrame:
    """Return the archived records of the options' topics; raises ConfigError when the archive has none of one."""
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
    """Return post.v1 rows of `columns`; by --deduplicate each event once, and then with a watermark."""
    if options.realtime:
        return expressions.posts(records, columns)
    if not options.args.deduplicate:
        return parse.posts(records, columns)
    rows = parse.posts(records, dict.fromkeys((*columns, "event_time", "event_id")))
    return once(rows, options, "event_id")


def folded(records: DataFrame, fold: Fold, options: Options) -> DataFrame:
    """Return what `fold` makes of the posts in `records`, with a watermark; by --deduplicate of each event once."""
    if not options.args.deduplicate:
        return parse.folded(records, fold).withWatermark("event_time", options.args.lateness)
    return fold.rows(once(parse.posts(records), options, "event_id"))


def once(rows: DataFrame, options: Options, *key: str) -> DataFrame:
    """Return each of `rows` once by its `key`; a stream forgets what is older than the lateness."""
    if not rows.isStreaming:
        return rows.dropDuplicates(list(key))
    return rows.withWatermark("event_time", options.args.lateness).dropDuplicatesWithinWatermark(list(key))


def writer(options: Options, table: Table | None, topic: Topic) -> Writer | kafka.Direct:
    """Return the writer of the sinks that the options name; a Kafka topic is created when it is one of them.

    Raises ConfigError when they name a SQL store for rows without `table`, or Elasticsearch for rows without index.
    """
    if options.realtime:
        if not options.args.dry_run:
            create(options.bootstrap, [topic], options.settings.partitions)
        return kafka.Direct(topic, topic.key.split(", "), options.bootstrap)
    return together(*(_sink(name, options, table, topic) for name in options.args.sink))


def _sink(name: str, options: Options, table: Table | None, topic: Topic) -> Writer:
    if name in SQL_SINKS:
        if table is None:
            raise ConfigError(f"--sink {name}: what goes to {topic.name} has no table; use kafka or console")
        url = options.settings.sql_url(name)
        if not options.args.dry_run:
            tables.create(url)
        return sql.upsert(url, table, patience=Patience(sleep=STOP.pause))
    if name == "elasticsearch":
        return _elasticsearch(options, topic)
    if name == "kafka":
        if not options.args.dry_run:
            create(options.bootstrap, [topic], options.settings.partitions)
        return kafka.publish(topic, topic.key.split(", "), options.bootstrap)
    return console.show()


def _elasticsearch(options: Options, topic: Topic) -> Writer:
    from millrace.sinks import elasticsearch, indices  # noqa: PLC0415 - it takes seconds, and few jobs need it

    if topic.name not in indices.INDICES:
        raise ConfigError(f"--sink elasticsearch: what goes to {topic.name} has no index; use another sink")
    target, url = indices.INDICES[topic.name], options.settings.store_url("elasticsearch")
    if not options.args.dry_run:
        indices.create(url, target)
        create(options.bootstrap, [DEAD_LETTERS], options.settings.partitions)
    refused = kafka.publish(DEAD_LETTERS, letters.KEY_OF_ROWS, options.bootstrap)
    return elasticsearch.index(url, target, refused=refused)
