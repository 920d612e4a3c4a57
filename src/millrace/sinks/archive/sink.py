"""The archive as a sink of records: a folder or HDFS. The job `archive` says more of a batch than is known here."""

from millrace.archive import files
from millrace.kafka.results import Result
from millrace.sinks.archive.writer import append
from millrace.sinks.sink import Need, Sink, Target
from millrace.sinks.together import Writer


def _writer(result: Result, target: Target) -> Writer:
    return append(files.of(target.settings))


ARCHIVE = Sink("hdfs", Need.RECORDS, _writer, "archive_url", embedded=True)
