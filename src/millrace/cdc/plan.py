"""Decide what a table is in ClickHouse, or say all that stands against it."""

import re
from collections.abc import Iterable, Mapping, Sequence

from millrace.cdc import types
from millrace.cdc.replica import OWN, Field, Replica
from millrace.cdc.table import FULL, INDEX, Table
from millrace.errors import ConfigError

RESERVED = re.compile("_moved|_settled|_round|_lacks|_old_[0-9]+")  # of the tables of large values


def plan(
    table: Table,
    keys: Mapping[str, Sequence[str]],
    as_text: Iterable[str] = (),
    without: Iterable[str] = (),
    missing: Mapping[str, str] | None = None,
) -> Replica:
    """Return what `table` is in ClickHouse; raises ConfigError that names every column and key which does not fit.

    `keys` gives a key to tables that have no primary key; `as_text` and `without` name columns, `schema.table.column`,
    that are kept as text and left out. `missing` is what Debezium would send for the columns that older rows lack.
    """
    key = tuple(keys.get(table.full_name, table.primary.columns if table.primary else ()))
    texts, left_out = set(as_text), set(without)
    problems: list[str] = []
    fields = []
    for column in table.columns:
        name = f"{table.full_name}.{column.name}"
        if name in left_out:
            continue
        found = types.as_text(column) if name in texts else types.of(column)
        if found is None:
            problems.append(f"{name} is of type {column.declared}, which has none in ClickHouse that keeps every value:"
                            f" --as-text {name} or --without {name}")  # fmt: skip
            continue
        if column.name in OWN or RESERVED.fullmatch(column.name):
            problems.append(f"{name}: a column of this name is millrace's own: --without {name}")
        if column.generated:
            problems.append(f"{name} is generated, and PostgreSQL does not send it: --without {name}")
        if column.toastable and table.identity == INDEX and set(_identity(table)) != set(key):
            problems.append(f"{name} may be left out by TOAST, and the replica identity is of more than the key:"
                            f" ALTER TABLE {table.full_name} REPLICA IDENTITY FULL")  # fmt: skip
        if column.toastable and found.toast is None and table.identity != FULL:
            problems.append(f"{name} of type {column.declared} may be left out by TOAST, and nothing tells:"
                            f" ALTER TABLE {table.full_name} REPLICA IDENTITY FULL, or --without {name}")  # fmt: skip
        nullable = column.nullable and column.name not in key
        fields.append(Field(column, found, column.name in key, nullable, (missing or {}).get(column.name)))
    if not key:
        problems.append(
            f"{table.full_name} has no primary key: ALTER TABLE {table.full_name} ADD PRIMARY KEY (...), or"
            f" --key {table.full_name}=COLUMN,... (unique, NOT NULL)"
        )
    for each in set(key) - {field.column.name for field in fields}:
        problems.append(f"{table.full_name}.{each} is of the key, which can neither be left out nor missing")
    if problems:
        raise ConfigError("; ".join(problems))
    return Replica(table, tuple(fields), key, table.identity != FULL and any(field.is_sparse for field in fields))


def _identity(table: Table) -> tuple[str, ...]:
    return next((index.columns for index in table.indexes if index.is_identity), ())
