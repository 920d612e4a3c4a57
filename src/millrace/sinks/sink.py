"""Define what a sink is: what it needs of a result, how it makes a writer, how its store is checked and read."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from millrace.config import Settings
from millrace.errors import ConfigError
from millrace.kafka.gaps import Span
from millrace.kafka.results import Result, TopicBy
from millrace.kafka.topics import Topic, create
from millrace.sinks.retry import Patience
from millrace.sinks.together import Direct, Writer


class Need(Enum):
    """What of a result a sink cannot do without; the value is the word for it."""

    TABLE = "table"
    INDEX = "index"
    TOPIC = "topic"
    KEY = "key"  # by which documents are replaced
    NOTHING = "nothing"
    RECORDS = "records of Kafka as they came"  # which no result is

    def met_by(self, result: Result) -> bool:
        """Return whether `result` has what is needed."""
        there = {Need.TABLE: result.table, Need.INDEX: result.version, Need.TOPIC: result.topic, Need.KEY: result.key,
                 Need.NOTHING: True}  # fmt: skip
        return bool(there.get(self))


@dataclass(frozen=True)
class Target:
    """Where a run writes; with `prepare`, making a writer also creates the table, index or topic that is missing.

    Rows of windows that start at `overwrite` or later replace what is stored, even if that is newer.
    """

    settings: Settings
    patience: Patience = field(default_factory=Patience)
    prepare: bool = True
    overwrite: datetime | None = None

    def create(self, topics: Iterable[Topic]) -> None:
        """Create those of `topics` that are missing, unless `prepare` is false."""
        if self.prepare:
            create(self.settings.kafka_bootstrap, topics, self.settings.partitions)


@dataclass(frozen=True)
class Sink:
    """One place where rows may go; `registry.SINKS` is the table of them.

    `writer` makes the writer of a result, `direct` that of real-time mode, if the sink has one. `setting` is the field
    of Settings with the store's address, "" if there is none; an `embedded` store works without it. `rows` reads a
    result back as Python values, one row per key, for tests and notebooks; `check` asks the store and returns what it
    found, or raises MillraceError, for the doctor. `servers` are the test fixtures on which the contract is proved.
    `appends`: what is written stays, so by default a row is written once, when its window has closed. `overwrites`:
    it heeds the target's `overwrite`. `relational`: it is one of the stores of `sinks/sql`, whose tables and views go
    together. `mark` marks the candles that gaps touch as incomplete, in a store that is not. `holds` returns whether
    the store can hold a key.
    """

    name: str
    need: Need
    writer: Callable[[Result, Target], Writer]
    setting: str = ""
    embedded: bool = False
    rows: Callable[[Result, Settings], Iterable[dict[str, Any]]] | None = None
    check: Callable[[Settings], str] | None = None
    direct: Callable[[Result, Target], Direct] | None = None
    servers: tuple[str, ...] = ()
    appends: bool = False
    overwrites: bool = False
    relational: bool = False
    mark: Callable[[Settings, Sequence[Span], Patience], None] | None = None
    holds: Callable[[str], bool] = lambda key: True

    @property
    def offered(self) -> bool:
        """Whether analyses can be told to write there."""
        return self.need is not Need.RECORDS

    def at_hand(self, settings: Settings) -> bool:
        """Return whether the sink works with `settings`: they name its store, or it needs none."""
        return not self.setting or self.embedded or getattr(settings, self.setting) is not None

    @property
    def is_store(self) -> bool:
        """Whether its rows are in a store with a URL of its own."""
        return self.offered and self.setting.endswith("_url")

    def require(self, result: Result) -> None:
        """Raise ConfigError if `result` lacks what the sink needs."""
        if not self.need.met_by(result):
            name = result.topic.name if isinstance(result.topic, Topic) else result.name
            raise ConfigError(f"--sink {self.name}: what goes to {name} has no {self.need.value}; use another sink")


def topics_of(result: Result) -> list[Topic]:
    """Return the topics of `result`."""
    if isinstance(result.topic, TopicBy):
        return list(result.topic.topics.values())
    return [result.topic] if result.topic else []
