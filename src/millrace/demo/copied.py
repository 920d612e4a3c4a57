"""The demo's copy of PostgreSQL: what is captured, and both sides of it to look at."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import psutil

from millrace import stack
from millrace.cdc import address, connector, demo, postgres, register
from millrace.cdc.state import State
from millrace.cdc.watch import Watch
from millrace.config import Settings
from millrace.demo.views.store import Rows
from millrace.errors import ConfigError, MillraceError
from millrace.sinks.clickhouse import client

NEWEST = 20  # rows of each table

Newest = dict[str, tuple[Rows, Rows]]


def capture(settings: Settings, tables: tuple[str, ...]) -> None:
    """Make the small tables and let the connector capture them beside what it captures already.

    Raises ConfigError where Kafka Connect reads another PostgreSQL than the demo's own: nothing is registered there.
    """
    source = postgres.source(settings)
    told = next(
        psutil.Process(row.pid).environ() for row in stack.status(settings) if row.name == "connect" and row.pid
    )
    if any(told.get(name) != value for name, value in address.variables(source).items()):
        raise ConfigError(
            "Kafka Connect of this home was started for another PostgreSQL than that of this home: `millrace down"
            " connect`, or another --home for the demo"
        )
    demo.seed(source)
    before = connector.tables(register.worker(settings).config(connector.NAME) or {})
    wanted = list(dict.fromkeys([*before, *tables]))
    register.register(settings, register.Wanted(wanted), lambda _: None)


@dataclass
class Both:
    """Both sides of `tables`, read anew with each look of the watch."""

    settings: Settings
    tables: tuple[str, ...]
    _at: datetime | None = None
    _newest: Newest = field(default_factory=dict)

    @cached_property
    def _watch(self) -> Watch:
        return Watch(self.settings, anew=False)

    def look(self) -> tuple[State, Newest]:
        """Return how the copy stands, and the newest rows of each table by key: PostgreSQL's, and ClickHouse's."""
        state = self._watch.now()
        if state.at != self._at:
            self._at = state.at
            try:
                self._newest = {table: self._rows(table) for table in self.tables}
            except MillraceError:  # it is read again soon, and the state says what is wrong
                self._newest = {}
        return state, self._newest

    def _rows(self, table: str) -> tuple[Rows, Rows]:
        question = "SELECT * FROM {} ORDER BY id DESC LIMIT {}"
        with postgres.connection(postgres.source(self.settings)) as session:
            found = session.execute(question.format(postgres.quoted(table), NEWEST).encode()).fetchall()
        url = self.settings.clickhouse
        with client.errors(url, table):
            ours = client.connect(url).query(question.format(table.partition(".")[2], NEWEST)).result_rows
        return {key: text for key, text in (row.values() for row in found)}, {key: text for key, text in ours}  # noqa: C416
