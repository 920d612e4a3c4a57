"""MongoDB as a sink; its client takes time to import, so only what uses it imports it."""

from collections.abc import Iterator
from typing import Any

from millrace.config import Settings
from millrace.kafka import letters
from millrace.kafka.results import Result
from millrace.kafka.topics import DEAD_LETTERS
from millrace.sinks.kafka import publish
from millrace.sinks.sink import Need, Sink, Target
from millrace.sinks.together import Writer

NAME = "mongodb"


def _writer(result: Result, target: Target) -> Writer:
    from millrace.sinks.mongodb import writer  # noqa: PLC0415

    url = target.settings.store_url(NAME)
    if target.prepare:
        target.patience.attempt(lambda: writer.prepare(url, result))
    target.create([DEAD_LETTERS])
    refused = publish(DEAD_LETTERS, letters.KEY_OF_ROWS, target.settings.kafka_bootstrap)
    return writer.replace(url, result, refused=refused, overwrite=target.overwrite)


def _rows(result: Result, settings: Settings) -> Iterator[dict[str, Any]]:
    from millrace.sinks.mongodb import reader  # noqa: PLC0415

    return reader.rows(settings.store_url(NAME), result)


def check(settings: Settings) -> str:
    """Ask the server and return what it is; raises ConfigError and Unavailable."""
    from millrace.sinks.mongodb import cluster  # noqa: PLC0415

    url = settings.store_url(NAME)
    with cluster.errors(url, "server"):
        version = cluster.connect(url).server_info()["version"]
    return f"{cluster.place(url)}, version {version}"


MONGODB = Sink(NAME, Need.KEY, _writer, "mongodb_url", rows=_rows, check=check, servers=(NAME,), overwrites=True)
