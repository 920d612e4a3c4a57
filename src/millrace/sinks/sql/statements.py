"""Build the upsert statement of each dialect with SQLAlchemy Core, compiled without a server."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, FromClause, Table, case, false, func, literal, literal_column, or_, select
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.engine import Dialect

from millrace.errors import ConfigError

# Dialects without a connection: MySQL 8.0, 8.4 and MariaDB get the same text (no `AS new`)
DIALECTS: dict[str, Dialect] = {
    "sqlite": sqlite.dialect(),
    "mysql": mysql.dialect(paramstyle="format"),
    "postgresql": psycopg.dialect(paramstyle="format"),  # type: ignore[no-untyped-call]
}


def upsert_sql(table: Table, dialect: str, source: FromClause | None = None, overwrite: datetime | None = None) -> str:
    """Return the SQL that upserts into `table` by its primary key, from bound rows or from table `source`.

    `table.info["order"]` may name a column: a row that is older by it does not overwrite the stored one, unless its
    window starts at `overwrite` or later.
    """
    statement = upsert(table, dialect, source, overwrite)
    return str(statement.compile(dialect=DIALECTS[dialect], column_keys=table.columns.keys()))


def upsert(table: Table, dialect: str, source: FromClause | None = None, overwrite: datetime | None = None) -> Any:
    """Return the statement whose SQL is that of `upsert_sql`."""
    build = _on_duplicate_key if dialect == "mysql" else _on_conflict
    return build(table, dialect, source, _is_right(table, dialect, overwrite))


def dialect_name(name: str) -> str:
    """Return the dialect whose SQL the server speaks; raises ConfigError if it is none of ours."""
    known = "mysql" if name == "mariadb" else name
    if known not in DIALECTS:
        raise ConfigError(f"{name} is no SQL sink: use sqlite, postgresql+psycopg or mysql+mysqlconnector")
    return known


def _changing(table: Table) -> list[Column[Any]]:
    """Return the columns to update, the order column last: MySQL assigns from left to right."""
    order = table.info.get("order")
    return sorted((c for c in table.columns if not c.primary_key), key=lambda c: c.name == order)


def _fill(statement: Any, table: Table, source: FromClause | None) -> Any:
    if source is None:
        return statement
    names = table.columns.keys()
    return statement.from_select(names, select(*(source.c[name] for name in names)))


def _on_conflict(table: Table, dialect: str, source: FromClause | None, is_right: Any) -> Any:
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = _fill(insert(table), table, source)
    keys = [column.name for column in table.primary_key]
    changes = {column.name: statement.excluded[column.name] for column in _changing(table)}
    if not changes:
        return statement.on_conflict_do_nothing(index_elements=keys)
    order = table.info.get("order")
    newer = or_(_not_older(table.c[order], statement.excluded[order]), is_right) if order else None
    return statement.on_conflict_do_update(index_elements=keys, set_=changes, where=newer)


def _on_duplicate_key(table: Table, dialect: str, source: FromClause | None, is_right: Any) -> Any:
    statement = _fill(mysql.insert(table), table, source)
    order = table.info.get("order")
    changes = []
    for column in _changing(table) or list(table.primary_key)[:1]:
        new: Any = _values(column)
        if order:
            newer = or_(_not_older(table.c[order], _values(table.c[order])), is_right)
            new = case((newer, new), else_=column)
        changes.append((column.name, new))
    return statement.on_duplicate_key_update(changes)


def _is_right(table: Table, dialect: str, overwrite: datetime | None) -> Any:
    """Return the condition that a row replaces the stored one whatever that is; the time stands in it as text."""
    if overwrite is None or "window_start" not in table.c:
        return false()
    start = table.c.window_start
    known = literal(overwrite, start.type).compile(dialect=DIALECTS[dialect], compile_kwargs={"literal_binds": True})
    return start >= literal_column(str(known))


def _not_older(stored: Any, new: Any) -> Any:
    return or_(stored.is_(None), new >= stored)


def _values(column: Column[Any]) -> Any:
    quoted = DIALECTS["mysql"].identifier_preparer.quote(column.name)
    return func.VALUES(literal_column(quoted, column.type))
