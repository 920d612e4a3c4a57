"""Follow the catalog of the source: before each batch, ClickHouse's tables are what PostgreSQL's are by then."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress

from sqlalchemy import Engine, text

from millrace.cdc import catalog, replica, storage, toast, types
from millrace.cdc.merge import Statements
from millrace.cdc.plan import plan
from millrace.cdc.replica import Replica
from millrace.cdc.settle import Settling, begin
from millrace.cdc.table import Table
from millrace.errors import ConfigError
from millrace.sinks.clickhouse import client
from millrace.sinks.sql import database

log = logging.getLogger(__name__)
LATEST = "SELECT toString(addDays(toDate32('1970-01-01'), 2932896))"


@dataclass(frozen=True)
class Choice:
    """Which tables are copied, `schema.table`, and how: keys of those that have none, columns as text and left out."""

    tables: tuple[str, ...]
    keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    as_text: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()

    def plan(self, table: Table, missing: Mapping[str, str] | None = None) -> Replica:
        """Return what `table` is in ClickHouse; raises ConfigError."""
        return plan(table, self.keys, self.as_text, self.without, missing)


@dataclass
class Following:
    """The replicas of one run: `inserts` reads the catalog, mends ClickHouse where it changed, and tells statements."""

    source: Engine
    target: str
    choice: Choice
    tables: dict[str, Table] = field(default_factory=dict)
    replicas: dict[str, Replica] = field(default_factory=dict)
    settling: dict[str, Settling] = field(default_factory=dict)  # of those with large values that may be left out

    def begin(self) -> None:
        """Do as `inserts`; raises ConfigError for tables that are not there, and for names that two would have."""
        found = catalog.read(self.source, self.choice.tables)
        if absent := [name for name in self.choice.tables if name not in found]:
            raise ConfigError(f"no such table at {database.place(self.source.url)}: {', '.join(absent)}")
        columns = {f"{name}.{column.name}" for name, table in found.items() for column in table.columns}
        if strangers := [
            *((self.choice.as_text | self.choice.without) - columns),
            *(self.choice.keys.keys() - found.keys()),
        ]:
            raise ConfigError(f"no column or table of those that are copied: {', '.join(sorted(strangers))}")
        plans = {name: self.choice.plan(table) for name, table in found.items()}
        names = storage.names(plans.values())
        if double := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"two tables would be called {', '.join(double)} in ClickHouse: copy them by two jobs,"
                              " each with another database in MILLRACE_CLICKHOUSE_URL")  # fmt: skip
        if any("Date" in field.type.name for plan in plans.values() for field in plan.fields):
            self._require_dates()
        self._follow(found)

    def _require_dates(self) -> None:
        """Raise ConfigError of a server that would move the dates of some years, as those before 26.7 do."""
        with client.errors(self.target, "dates"):
            ((latest,),) = client.connect(self.target).query(LATEST).result_rows
        if latest != "9999-12-31":
            raise ConfigError(
                f"{client.place(self.target)} has no dates after {latest}: it wants ClickHouse 26.7 or newer"
            )

    def inserts(self) -> dict[str, Statements]:
        """Return the statements that put changes into each table; raises ConfigError and Unavailable."""
        self._follow(catalog.read(self.source, self.choice.tables))
        return {
            name: Statements(
                each.insert,
                each.refused,
                each.source.primary is None or set(each.source.primary.columns) != set(each.key),
                tuple(toast.inserts(each, self.settling[name].number)) if each.toasts else (),
            )
            for name, each in self.replicas.items()
        }

    def settle(self) -> None:
        """Give rows the values that TOAST left out, and tell of those that nobody sent; raises as `inserts` does."""
        if self.settling:
            with client.errors(self.target, "large values"):
                server, settling = client.connect(self.target), list(self.settling.values())
                (come,) = server.query(f"SELECT {', '.join(f'({each.has_come})' for each in settling)}").result_rows
                for each in compress(settling, come):
                    each.settle(server)

    def _follow(self, found: Mapping[str, Table]) -> None:
        for name in self.tables.keys() - found.keys():
            log.warning("%s is no longer at the source: its rows stay as they are", name)
            del self.tables[name]
        for name, table in found.items():
            if (known := self.tables.get(name)) != table:
                if known:
                    _tell_parts(known, table)
                self.replicas[name] = self._mend(self.choice.plan(table, missing(self.source, table)))
                self.tables[name] = table

    def _mend(self, wanted: Replica) -> Replica:
        with client.errors(self.target, f"{wanted.target}__cdc"):
            server = client.connect(self.target)
            found = storage.look(server, wanted)
            made = storage.remembered(wanted, found) if found else wanted
            statements = storage.mends(made, found) if found else [*replica.CREATE, *toast.drop(made), made.create]
            if found:
                _tell_unread(made, found)
            if made.toasts and not (found and found.toasts):
                statements += toast.create(made)
            elif made.toasts:
                statements += toast.widen(made)  # also where a run before was ended between two statements
            for statement in statements:
                log.debug("ClickHouse: %s", statement)
                server.command(statement)
            if made.toasts:
                self.settling[made.source.full_name] = begin(server, made)
            else:
                server.command(made.create_view)
        return made


def _tell_unread(made: Replica, found: storage.Found) -> None:
    """Warn of values that PostgreSQL made in a rewrite of the table, and that it does not send."""
    name = made.source.full_name
    if names := storage.unread(made, found):
        log.warning("%s: values that older rows got of the defaults of %s were not sent: `millrace cdc snapshot %s`"
                    " reads them", name, ", ".join(names), name)  # fmt: skip
    if names := storage.retyped(made, found):
        log.warning("%s: the type of %s is another; if rows got other values by it, as with USING, these were not sent:"
                    " `millrace cdc snapshot %s` reads them", name, ", ".join(names), name)  # fmt: skip


def _tell_parts(known: Table, table: Table) -> None:
    """Warn of partitions that came with rows, or went with them: neither is in the stream of changes."""
    if came := table.parts - known.parts:
        log.warning("%s: rows that %s had when it became a partition were not sent: `millrace cdc snapshot %s` reads"
                    " them", table.full_name, ", ".join(sorted(came)), table.full_name)  # fmt: skip
    if gone := known.parts - table.parts:
        log.warning("%s: %s is no longer a partition, and its rows stay in ClickHouse: `millrace cdc register"
                    " --resnapshot` leaves them out", table.full_name, ", ".join(sorted(gone)))  # fmt: skip


def missing(engine: Engine, table: Table) -> dict[str, str]:
    """Return what Debezium would send for the values that rows from before an ADD COLUMN read, by column."""
    found = {}
    with database.errors(engine.url, f"{table.full_name}: "), engine.connect() as connection:
        for column in table.columns:
            if column.missing is not None:
                # an array of one item, whose type a driver cannot know: its text, then its value
                declared = column.declared.replace(":", r"\:")  # as PostgreSQL quotes it; a colon would name a value
                item = f"CAST((CAST(CAST(:value AS text) AS text[]))[1] AS {declared})"
                sent = types.sent(column)("item")
                statement = text(f"SELECT {sent} FROM (SELECT {item} AS item) AS older")
                found[column.name] = connection.execute(statement, {"value": column.missing}).scalar_one()
    return {name: value for name, value in found.items() if value is not None}
