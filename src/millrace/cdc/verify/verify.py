"""`millrace cdc verify`, as one call: what is compared, by which way changes come, and where the verdict is kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from millrace.cdc import connector
from millrace.cdc.catalog import connect
from millrace.cdc.follow import Choice
from millrace.cdc.verify.compare import Bar, Verifying
from millrace.cdc.verify.reached import Stream
from millrace.cdc.verify.target import Target
from millrace.cdc.verify.verdict import Verdict
from millrace.config import Settings
from millrace.errors import ConfigError


@dataclass(frozen=True)
class Way:
    """The way of changes: the prefix of their topics, the slot, and the seconds that they may take."""

    prefix: str = connector.PREFIX
    slot: str = connector.SLOT
    seconds: float = 60.0


def choice(tables: str, keys: Sequence[str], as_text: Sequence[str], without: Sequence[str]) -> Choice:
    """Return what options of the command line choose; raises ConfigError."""
    return Choice(tuple(connector.named(tables)), connector.keyed(keys), frozenset(as_text), frozenset(without))


def verify(
    settings: Settings, choice: Choice, way: Way, *, limit: int, bar: Bar, tell: Callable[[str], object]
) -> Verdict:
    """Compare tables of PostgreSQL with ClickHouse's and keep the verdict; raises ConfigError and Unavailable."""
    if (url := settings.cdc_source) is None:
        raise ConfigError("MILLRACE_CDC_SOURCE_URL is not set: the PostgreSQL to compare with")
    topics = [connector.topic(table, way.prefix) for table in choice.tables]
    source = connect(url)
    try:
        stream = Stream(source, way.slot, settings.kafka_bootstrap, topics, settings.home)
        verdict = Verifying(stream, Target(settings.clickhouse), limit, way.seconds, bar, tell).run(choice)
    finally:
        source.dispose()
    verdict.save(settings.home)
    return verdict
