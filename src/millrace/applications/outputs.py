"""Write the rows of a query to the sinks that the options name."""

from pyspark.sql import DataFrame

from millrace.kafka.results import Result
from millrace.sinks import registry
from millrace.sinks.retry import Patience
from millrace.sinks.sink import Target
from millrace.sinks.together import Direct, Writer
from millrace.spark.options import Options
from millrace.spark.stop import STOP
from millrace.spark.supervisor import Flow


def flow(options: Options, rows: DataFrame, result: Result) -> Flow:
    """Return the query that writes `rows`, which are those of `result`, to the sinks of `options`."""
    return Flow(options, rows, writer(options, result))


def writer(options: Options, result: Result) -> Writer | Direct:
    """Return the writer to the sinks of `options`; missing tables, indices and topics are created.

    Raises ConfigError if `result` has nothing that one of the sinks could take.
    """
    if options.realtime:
        return registry.direct(options.args.sink[0], result, target(options))
    return registry.writer(options.args.sink, result, target(options))


def target(options: Options) -> Target:
    """Return where a run writes; retries of a store that is away end as soon as the run is asked to stop."""
    args, patience = options.args, Patience(sleep=STOP.pause)
    return Target(options.settings, patience, prepare=not args.dry_run, overwrite=args.overwrite)
