"""What ClickHouse has of a captured table already, and the statements that make it what the catalog says now."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from clickhouse_connect.driver.binding import quote_identifier

from millrace.cdc.replica import FLOORS, OWN, REFUSED, Field, Replica
from millrace.cdc.toast import LACKING
from millrace.errors import ConfigError

ENGINE = re.compile(r"\w*ReplacingMergeTree\((.*, )?_version, _deleted\)")
COLUMN = re.compile(r"`((?:[^`\\]|\\.)*)`|([^,()\s`]+)")
WIDER = {"int2": {"int4", "int8"}, "int4": {"int8"}, "float4": {"float8"}, "varchar": {"text"}, "text": {"varchar"}}
KNOWN = re.compile("Changes of (.+), newest a key;")  # the comment of storage
LONGER = {"varchar", "timestamp without time zone", "timestamp with time zone", "time without time zone"}
UNLIMITED = (1 << 31,)
PARTS = ("", "__cdc", "__toast", "__moved", LACKING)  # behind the name of a table: what ClickHouse has of it


class Client(Protocol):
    """What is asked of clickhouse-connect's client."""

    def query(self, query: str, parameters: dict[str, Any]) -> Any:
        """Return rows in `result_rows`."""


@dataclass(frozen=True)
class Stored:
    """One column as storage has it: `number`, `declared` and `missing` are what its comment remembers."""

    name: str
    type: str
    number: int
    declared: str
    missing: str | None


@dataclass(frozen=True)
class Found:
    """Storage as it is: its engine with its settings, its order, and the columns of the source, dropped ones too.

    `toasts` is whether the tables of `toast.py` are there.
    """

    engine: str
    order: tuple[str, ...]
    columns: tuple[Stored, ...]
    toasts: bool


def names(replicas: Iterable[Replica]) -> list[str]:
    """Return all names that `replicas` take in ClickHouse, with those of millrace's own."""
    return [FLOORS, REFUSED, *(f"{each.target}{part}" for each in replicas for part in PARTS)]


def look(client: Client, replica: Replica) -> Found | None:
    """Return what there is of `replica`, None if nothing; raises ConfigError if its names are taken by others."""
    names = {"storage": f"{replica.target}__cdc", "view": replica.target, "toast": f"{replica.target}__toast"}
    rows = client.query(
        "SELECT name, engine, engine_full, sorting_key, comment, as_select FROM system.tables "
        "WHERE database = currentDatabase() AND name IN ({storage:String}, {view:String}, {toast:String})",
        names,
    ).result_rows
    tables = {row[0]: row[1:] for row in rows}
    _refuse_others(replica, {name: tables[name][3] for name in (names["view"], names["storage"]) if name in tables})
    if (view := tables.get(names["view"])) and (view[0] != "View" or names["storage"] not in view[4]):
        aside = quote_identifier(f"{replica.target}_before")
        raise ConfigError(
            f"{replica.target} in ClickHouse is a table of engine {view[0]}, where the view of"
            f" {replica.source.full_name} belongs: RENAME TABLE {replica.view} TO {aside}"
        )
    if (storage := tables.get(names["storage"])) is None:
        return None
    columns = client.query(
        "SELECT name, type, comment FROM system.columns "
        "WHERE database = currentDatabase() AND table = {storage:String} ORDER BY position",
        names,
    ).result_rows
    engine, order = storage[1], _names(storage[2])
    _require(replica, engine, order, {row[0] for row in columns})
    own = tuple(_stored(*row) for row in columns if row[0] not in OWN)
    if storage[3] != replica.comment:
        raise ConfigError(f"{replica.source.full_name} was dropped and made anew: {_anew(replica)}")
    return Found(engine, order, own, names["toast"] in tables)


def remembered(replica: Replica, found: Found) -> Replica:
    """Return `replica` with what storage remembers: values for older rows, which the source forgets in a rewrite, and
    that some of its changes came without values, which they may have again."""
    known = {each.number: each.missing for each in found.columns}
    fields = tuple(
        field if field.missing is not None else replace(field, missing=known.get(field.column.number))
        for field in replica.fields
    )
    return replace(replica, fields=fields, toasts=replica.toasts or found.toasts)


def unread(replica: Replica, found: Found) -> list[str]:
    """Return the new columns whose values in older rows nobody told: PostgreSQL made them in a rewrite of the table."""
    known = {each.number for each in found.columns}
    return [
        field.column.name
        for field in replica.fields
        if field.column.number not in known
        and field.missing is None
        and (field.column.has_default or not field.column.nullable)  # a row that was there had something
    ]


def retyped(replica: Replica, found: Found) -> list[str]:
    """Return the columns whose declared type is another: PostgreSQL sends no values that it made in a rewrite."""
    known = {each.number: each.declared for each in found.columns}
    return [
        field.column.name
        for field in replica.fields
        if known.get(field.column.number, field.column.declared) != field.column.declared
    ]


def mends(replica: Replica, found: Found) -> list[str]:
    """Return what makes storage that of `replica`; raises ConfigError for changes that values cannot follow."""
    known = {each.number: each for each in found.columns}
    taken = {each.name: each.number for each in found.columns}
    statements, problems = [], []
    for field in replica.fields:
        stored = known.get(field.column.number)
        if stored is None and field.column.name in taken:
            problems.append(f"{_named(replica, field)} was dropped and added again: {_anew(replica)}")
        elif stored is None:
            statements.append(f"ALTER TABLE {replica.storage} ADD COLUMN IF NOT EXISTS {field.definition} AFTER"
                              f" {_before(replica, field)}")  # fmt: skip
        elif stored.name != field.column.name:
            problems.append(
                f"{_named(replica, field)} was called {stored.name}: ALTER TABLE {replica.storage} RENAME COLUMN"
                f" {quote_identifier(stored.name)} TO {field.name} in ClickHouse, start again, and"
                f" `millrace cdc snapshot {replica.source.full_name}`"
            )
        elif stored.declared == field.column.declared and _bare(stored.type) != field.type.name:
            problems.append(f"{_named(replica, field)} is {stored.type} in ClickHouse: {_anew(replica)}")
        elif stored.declared != field.column.declared and not _is_wider(stored, field):
            problems.append(
                f"{_named(replica, field)} was {stored.declared} and is {field.column.declared} now: {_anew(replica)}"
            )
        elif field.key and stored.type != field.stored:
            problems.append(
                f"{_named(replica, field)} is {field.column.declared} now, and ClickHouse changes no key:"
                f" {_anew(replica)}"
            )
        elif stored.type != field.stored and not stored.type.startswith(("Nullable", "Variant")):
            statements.append(f"ALTER TABLE {replica.storage} MODIFY COLUMN {field.definition}")
        elif stored.declared != field.column.declared:
            kept = field if field.nullable or not stored.type.startswith("Nullable") else replace(field, nullable=True)
            statements.append(f"ALTER TABLE {replica.storage} MODIFY COLUMN {kept.definition}")
    if problems:
        raise ConfigError("; ".join(problems))
    return statements


def _refuse_others(replica: Replica, comments: Mapping[str, str]) -> None:
    """Raise ConfigError if another table, which another job copies, has a name of `replica`; `comments` are by name."""
    for name, comment in comments.items():
        known = KNOWN.match(comment)
        if name in (FLOORS, REFUSED) or (known and known[1] != replica.source.full_name):
            held = f"holds {known[1]}" if known else "is millrace's own"
            raise ConfigError(
                f"{name} in ClickHouse {held}, and {replica.source.full_name} would be called the same: copy it by a"
                " job with another database in MILLRACE_CLICKHOUSE_URL"
            )


def _require(replica: Replica, engine: str, order: tuple[str, ...], columns: set[str]) -> None:
    """Raise ConfigError if storage was not made by millrace, or for another key."""
    name = f"{replica.target}__cdc"
    if not ENGINE.match(engine) or not set(OWN) <= columns:
        raise ConfigError(
            f"{name} in ClickHouse is no storage of millrace, its engine is {engine.partition(' ')[0]}:"
            " expected ReplacingMergeTree(_version, _deleted); rename it"
        )
    if order != replica.key:
        raise ConfigError(
            f"{name} in ClickHouse is ordered by ({', '.join(order)}), but the key of {replica.source.full_name}"
            f" is ({', '.join(replica.key)}): {_anew(replica)}"
        )


def _stored(name: str, type: str, comment: str) -> Stored:
    try:
        known = json.loads(comment)
        return Stored(name, type, known["number"], known["type"], known.get("missing"))
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"column {name} in ClickHouse lost its comment, by which millrace knows it") from None


def _names(order: str) -> tuple[str, ...]:
    return tuple(re.sub(r"\\(.)", r"\1", quoted) or bare for quoted, bare in COLUMN.findall(order))


def _bare(name: str) -> str:
    return re.sub(r"^(?:Nullable|Variant)\((.*)\)$", r"\1", name)


def _named(replica: Replica, field: Field) -> str:
    return f"{replica.source.full_name}.{field.column.name}"


def _before(replica: Replica, field: Field) -> str:
    """Return the column behind which `field` is added, so that storage reads as the source does."""
    place = replica.fields.index(field)
    return replica.fields[place - 1].name if place else quote_identifier(replica.key[0])


def _anew(replica: Replica) -> str:
    return (
        f"drop it, DROP TABLE {replica.storage} in ClickHouse, start again, and"
        f" `millrace cdc snapshot {replica.source.full_name}`"
    )


def _is_wider(stored: Stored, field: Field) -> bool:
    """Return whether the source's values are as they were, though their type is another."""
    (before, digits), (after, now) = _parts(stored.declared), _parts(field.column.declared)
    if before != after:
        return after in WIDER.get(before, ())
    if before == "numeric" and digits and now:
        return now[1] >= digits[1] and now[0] - now[1] >= digits[0] - digits[1]
    return before in LONGER and (now or UNLIMITED) >= (digits or UNLIMITED)


def _parts(declared: str) -> tuple[str, tuple[int, ...]]:
    """Return the type and the numbers of a declaration such as numeric(10,2)."""
    names = {"smallint": "int2", "integer": "int4", "bigint": "int8", "real": "float4", "double precision": "float8",
             "character varying": "varchar", "character": "bpchar"}  # fmt: skip
    name, _, rest = declared.partition("(")
    numbers, _, tail = rest.partition(")")
    whole = f"{name}{tail}".strip()
    found = tuple(int(number) for number in numbers.split(",")) if numbers else ()
    return names.get(whole, whole), (*found, 0) if whole == "numeric" and len(found) == 1 else found
