"""The archive, a folder or HDFS, as a sink of Kafka records.

The job `archive` calls `append` itself, with offsets of the batch that are not known here.
"""

from millrace.archive import files
from millrace.kafka.results import Result
from millrace.sinks.archive.writer import append
from millrace.sinks.sink import Need, Sink, Target
from millrace.sinks.together import Writer


def _writer(result: Result, target: Target) -> Writer:
    return append(files.of(target.settings))


ARCHIVE = Sink("hdfs", Need.RECORDS, _writer, "archive_url", embedded=True)
