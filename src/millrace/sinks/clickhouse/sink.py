"""ClickHouse as a sink; its client takes time to import, so only what uses it imports it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from millrace.config import Settings
from millrace.kafka import letters
from millrace.kafka.gaps import Span
from millrace.kafka.results import Result
from millrace.kafka.topics import DEAD_LETTERS
from millrace.sinks.kafka import publish
from millrace.sinks.retry import Patience
from millrace.sinks.sink import Need, Sink, Target
from millrace.sinks.together import Writer

NAME = "clickhouse"


def _writer(result: Result, target: Target) -> Writer:
    from millrace.sinks.clickhouse import tables, views, writer  # noqa: PLC0415

    url = target.settings.store_url(NAME)
    known: Mapping[str, int] = {}
    if target.prepare:
        target.patience.attempt(lambda: tables.create(url, result))
        target.patience.attempt(lambda: views.create(url, result))
        known = target.patience.attempt(lambda: tables.generations(url, result, target.overwrite))
    target.create([DEAD_LETTERS])
    refused = publish(DEAD_LETTERS, letters.KEY_OF_ROWS, target.settings.kafka_bootstrap)
    return writer.insert(url, result, refused=refused, generations=known)


def _rows(result: Result, settings: Settings) -> Iterator[dict[str, Any]]:
    from millrace.sinks.clickhouse import reader  # noqa: PLC0415

    return reader.rows(settings.store_url(NAME), result)


def _check(settings: Settings) -> str:
    """Ask the server and return what it is; raises ConfigError and Unavailable."""
    from millrace.sinks.clickhouse import client  # noqa: PLC0415

    url = settings.store_url(NAME)
    if client.is_embedded(url) and not client.folder(url).exists():
        return "no data yet: any job makes it"
    return f"{client.place(url)}, version {client.connect(url).server_version}"


def _mark(settings: Settings, gaps: Sequence[Span], patience: Patience) -> None:
    from millrace.sinks.clickhouse import candles  # noqa: PLC0415

    candles.mark_incomplete(settings.store_url(NAME), gaps, patience)


CLICKHOUSE = Sink(
    NAME, Need.TABLE, _writer, "clickhouse_url", embedded=True, rows=_rows, check=_check, servers=(NAME,),
    overwrites=True, mark=_mark,
)  # fmt: skip
