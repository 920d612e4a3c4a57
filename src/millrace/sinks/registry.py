"""The table of sinks; a new sink is a file that makes a `Sink`, and a row here."""

from collections.abc import Iterable

from millrace.errors import ConfigError
from millrace.kafka.results import Result
from millrace.sinks.archive.sink import ARCHIVE
from millrace.sinks.clickhouse.sink import CLICKHOUSE
from millrace.sinks.console import CONSOLE
from millrace.sinks.elasticsearch.sink import ELASTICSEARCH
from millrace.sinks.kafka import KAFKA
from millrace.sinks.mongodb.sink import MONGODB
from millrace.sinks.sink import Target
from millrace.sinks.sql.sink import MYSQL, POSTGRES, SQLITE
from millrace.sinks.together import Direct, Writer, together

ALL = (SQLITE, POSTGRES, MYSQL, ELASTICSEARCH, MONGODB, CLICKHOUSE, KAFKA, CONSOLE, ARCHIVE)
SINKS = {sink.name: sink for sink in ALL}


def writer(names: Iterable[str], result: Result, target: Target) -> Writer:
    """Return the writer of `result` to the sinks `names`, which each get every micro-batch.

    Raises ConfigError if the result has no table, index or topic and one of them needs it.
    """
    chosen = [SINKS[name] for name in names]
    for sink in chosen:
        sink.require(result)
    return together(*(sink.writer(result, target) for sink in chosen))


def direct(name: str, result: Result, target: Target) -> Direct:
    """Return the writer of `result` in real-time mode; raises ConfigError if the sink `name` has none."""
    sink = SINKS[name]
    if sink.direct is None:
        raise ConfigError(f"--sink {name} does not go with --realtime")
    return sink.direct(result, target)
