"""Compare the tables of a store with their definitions: what would lose or merge rows, and the statement that mends it.

Tables may be older than this version, or made by hand. Further columns and indexes do no harm, unless rows cannot be
written for them.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, Table, UniqueConstraint, inspect
from sqlalchemy.types import NullType, TypeEngine

from millrace.errors import ConfigError
from millrace.sinks.sql.collations import Collations
from millrace.sinks.sql.columns import holds
from millrace.sinks.sql.mends import Mends

Found = Iterator[tuple[str, str]]  # what is wrong, in words, and the statement that mends it


def require(connection: Connection, tables: Iterable[Table], where: str) -> list[str]:
    """Return the statements that add to `tables`, which are there, the columns that they lack and that may be NULL.

    Raises ConfigError, which names `where`, if anything else differs: with all that does, and what mends it.
    """
    collations, added = Collations(connection), []
    told: list[str] = []
    mending: dict[str, None] = {}
    for table in tables:
        stored = _Stored(connection, table)
        added += stored.additions()
        for what, mend in stored.differences(collations):
            told.append(f"{table.name} {what}")
            mending[mend] = None
    if told:
        raise ConfigError(
            f"{where}: rows would be lost or merged in tables that are there: {', '.join(told)}. Stop what writes "
            "them, mend them as an account that may, and start again (docs/operations.md, Tables that are there): "
            + "; ".join([*mending, *added])
        )
    return added


class _Stored:
    """A table as a store has it, beside its definition."""

    def __init__(self, connection: Connection, table: Table) -> None:
        seen = inspect(connection)
        self.table, self.dialect, self.mends = table, connection.dialect, Mends(table, connection.dialect)
        self.columns = {column["name"]: column for column in seen.get_columns(table.name)}
        self.primary = seen.get_pk_constraint(table.name)
        self.unique: dict[frozenset[str | None], tuple[str | None, bool]] = {}  # columns: its name, a constraint's?
        for index in seen.get_indexes(table.name):
            if index["unique"] and not any("where" in option for option in index.get("dialect_options", {})):
                self.unique[frozenset(index["column_names"])] = index["name"], False
        for constraint in seen.get_unique_constraints(table.name):
            self.unique[frozenset(constraint["column_names"])] = constraint["name"], True

    def additions(self) -> list[str]:
        """Return the statements that add the columns that are missing and may be NULL."""
        missing = (column for column in self.table.columns if column.name not in self.columns)
        return [self.mends.add(column) for column in missing if column.nullable]

    def differences(self, collations: Collations) -> Found:
        """Yield all else in which the table differs."""
        yield from self._columns()
        yield from self._others()
        yield from self._keys(self.table.name in collations.shortened)
        for column, what in collations.loose(self.table):
            yield what, self.mends.compare_bytes(column)

    def _columns(self) -> Found:
        for column in self.table.columns:
            found = self.columns.get(column.name)
            if found is None:
                if not column.nullable:
                    yield f"has no column {column.name}", self.mends.add(column)
            elif not holds(found["type"], column.type, self.dialect):
                yield f"has {column.name} as {self._spell(found['type'])}", self.mends.change(column)
            elif column.nullable and not found["nullable"]:
                kind = self._spell(found["type"])
                yield f"has {column.name} NOT NULL, which some rows are", self.mends.loosen(column.name, kind)

    def _others(self) -> Found:
        for name in sorted(self.columns.keys() - self.table.columns.keys()):
            found = self.columns[name]
            filled = found["default"] is not None or found.get("autoincrement") is True
            if not (found["nullable"] or filled or {"computed", "identity"} & found.keys()):
                mend = self.mends.loosen(name, self._spell(found["type"]))
                yield f"has a column {name} of its own, NOT NULL and without a default", mend

    def _keys(self, shortened: bool) -> Found:
        """An upsert goes by the key, and any other unique columns would merge rows, or refuse them."""
        key, ours = frozenset(self.table.primary_key.columns.keys()), set(self.table.columns.keys())
        primary = frozenset(self.primary["constrained_columns"])
        allowed = {frozenset(c.columns.keys()) for c in self.table.constraints if isinstance(c, UniqueConstraint)}
        merging = {each for each in {primary, *self.unique} - allowed if each - {None} <= ours and not each >= key}
        if shortened or key not in {primary, *self.unique} or primary in merging - {frozenset()}:
            names = ", ".join(self.table.primary_key.columns.keys())
            what = "only the first characters of text in" if shortened else "not"
            yield f"has {what} the key ({names})", self.mends.key(self.primary["name"], bool(primary))
        for columns, (name, is_constraint) in self.unique.items():
            if columns in merging:
                yield (
                    f"may have ({', '.join(sorted(map(str, columns)))}) once only",
                    self.mends.drop(name, is_constraint),
                )

    def _spell(self, kind: TypeEngine[Any]) -> str:
        return "a type of its own" if isinstance(kind, NullType) else kind.compile(self.dialect)
