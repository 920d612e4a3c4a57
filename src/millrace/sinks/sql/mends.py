"""The statements that make a table of a store as ours is; an operator executes them."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Dialect, Table
from sqlalchemy.schema import CreateColumn

from millrace.sinks.sql.statements import dialect_name
from millrace.sinks.sql.views import VIEWS

# PostgreSQL changes no type of which a view is made; the next start makes the views anew
VIEWLESS = f"DROP VIEW IF EXISTS {', '.join(VIEWS)}"
DEFAULTS: dict[type, str] = {str: "''", bool: "false", datetime: "'1970-01-01'"}  # of columns that are added; else 0


class Mends:
    """The statements for one table in one dialect."""

    def __init__(self, table: Table, dialect: Dialect) -> None:
        self._table, self._dialect, self._name = table, dialect, dialect_name(dialect.name)
        self._quote = dialect.identifier_preparer.quote
        self._alter = f"ALTER TABLE {self._quote(table.name)}"

    def add(self, column: Column[Any]) -> str:
        """Add a column; one that may not be NULL gets a value in the rows that are there."""
        spelled = self._spell(column)
        if not column.nullable:
            default = DEFAULTS.get(column.type.python_type, "0")
            spelled = f"{spelled.removesuffix(' NOT NULL')} DEFAULT {default} NOT NULL"
        return f"{self._alter} ADD COLUMN {spelled}"

    def change(self, column: Column[Any]) -> str:
        """Give a column our type."""
        if self._name == "mysql":
            return f"{self._alter} MODIFY {self._spell(column)}"
        if self._name == "postgresql":
            name, kind = self._quote(column.name), column.type.compile(self._dialect)
            zone = " AT TIME ZONE 'UTC'" if column.type.python_type is datetime else f"::{kind}"
            return f"{VIEWLESS}; {self._alter} ALTER COLUMN {name} TYPE {kind} USING {name}{zone}"
        return self.anew()

    def loosen(self, name: str, kind: str) -> str:
        """Let a column, whose type is `kind`, be NULL."""
        if self._name == "mysql":
            return f"{self._alter} MODIFY {self._quote(name)} {kind} NULL"
        if self._name == "postgresql":
            return f"{self._alter} ALTER COLUMN {self._quote(name)} DROP NOT NULL"
        return self.anew()

    def compare_bytes(self, column: Column[Any]) -> str:
        """Have text compared byte by byte."""
        if self._name == "mysql":
            return f"{self._alter} CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        if self._name == "postgresql":
            kind = column.type.compile(self._dialect)
            return f'{VIEWLESS}; {self._alter} ALTER COLUMN {self._quote(column.name)} TYPE {kind} COLLATE "default"'
        return self.anew()

    def key(self, old: str | None, replaced: bool) -> str:
        """Set the primary key, in place of another (in PostgreSQL called `old`); rows with equal keys refuse it."""
        if self._name == "sqlite":
            return self.anew()
        keys = ", ".join(self._quote(column.name) for column in self._table.primary_key)
        other = "PRIMARY KEY" if self._name == "mysql" else f"CONSTRAINT {self._quote(old or '')}"
        return f"{self._alter}{f' DROP {other},' if replaced else ''} ADD PRIMARY KEY ({keys})"

    def drop(self, index: str | None, constraint: bool) -> str:
        """Drop a unique index, or the constraint that made it."""
        if index is None or self._name == "sqlite":
            return self.anew()
        if self._name == "postgresql":
            what = f"{self._alter} DROP CONSTRAINT" if constraint else "DROP INDEX"
            return f"{what} {self._quote(index)}"
        return f"{self._alter} DROP INDEX {self._quote(index)}"

    def anew(self) -> str:
        """Put the table aside; the next start makes a new one."""
        name, aside = self._quote(self._table.name), self._quote(f"{self._table.name}_before")
        return f"CREATE TABLE {aside} AS SELECT * FROM {name}; DROP TABLE {name}"  # noqa: S608 - names, quoted

    def _spell(self, column: Column[Any]) -> str:
        return str(CreateColumn(column).compile(dialect=self._dialect))
