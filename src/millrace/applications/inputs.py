"""Read what a job needs: the records of its topics, or of the archive, and the posts in them."""

from collections.abc import Iterable

from pyspark.sql import DataFrame, SparkSession

from millrace.kafka import expressions, parse, read
from millrace.kafka.parse import Fold
from millrace.spark.options import Options
from millrace.spark.stop import STOP


def records(spark: SparkSession, options: Options) -> DataFrame:
    """Return the committed records of the options' topics as a stream, once those topics exist.

    With --from-archive, return those that the archive holds, not as a stream; raises ConfigError if it has none of one.
    """
    if options.args.from_archive:
        return options.backfill.read(spark, options.settings, options.topics)
    if not options.args.dry_run:
        read.wait_for_topics(options.bootstrap, options.topics, STOP.wait)
    most = None if options.realtime else options.args.max_offsets
    return read.stream(spark, options.bootstrap, options.topics, options.args.start, most)


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
