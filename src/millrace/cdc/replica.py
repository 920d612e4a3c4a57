"""A captured table in ClickHouse: its storage, the view of its current rows, and how changes are put into it.

Storage `<table>__cdc` keeps the newest change of each key, by its place in the source's history (`kafka.changes`), so
that changes may come in any order and any number of times. View `<table>` leaves out rows that are gone and those from
before the table was emptied or copied anew, whose place is in `cdc_floors`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from clickhouse_connect.driver.binding import format_str, quote_identifier

from millrace.cdc.table import Column, Table
from millrace.cdc.types import Type
from millrace.kafka.places import GENERATION, LSN

FLOORS = "cdc_floors"
REFUSED = "cdc_refused"
CREATE = (
    f"CREATE TABLE IF NOT EXISTS {FLOORS} (`table` String, position UInt128) "
    "ENGINE = ReplacingMergeTree(position) ORDER BY `table` "
    "COMMENT 'Rows of a table at or below this place are gone: it was emptied, or copied anew'",
    f"CREATE TABLE IF NOT EXISTS {REFUSED} (block UUID, place UInt32, reason String, at DateTime DEFAULT now()) "
    "ENGINE = MergeTree ORDER BY (block, place) TTL at + INTERVAL 1 DAY "
    "COMMENT 'Which rows of a block do not fit, for the one who sends it'",
)
OWN = {  # what storage holds beside the table's columns
    "_version": "UInt128",
    "_deleted": "UInt8",
    "_unavailable": "Array(LowCardinality(String))",
    "_changed_at": "DateTime64(6, 'UTC')",
}
VERSION = (
    f"bitShiftLeft(toUInt128(generation), {GENERATION}) + bitShiftLeft(toUInt128(streamed), {2 * LSN + 1})"
    f" + bitShiftLeft(toUInt128(commit), {LSN + 1}) + bitShiftLeft(toUInt128(lsn), 1) + (1 - deleted)"
)
INPUT = (
    "place UInt32, row String, old_key String, deleted UInt8, partial UInt8, "
    "generation UInt32, streamed UInt8, commit UInt64, lsn UInt64, changed_at Int64"
)


@dataclass(frozen=True)
class Field:
    """One column of the replica; `missing` is what Debezium would send of the value that older rows have."""

    column: Column
    type: Type
    key: bool
    nullable: bool
    missing: str | None = None

    @property
    def name(self) -> str:
        """The column's name, quoted."""
        return quote_identifier(self.column.name)

    @property
    def stored(self) -> str:
        """Its type in ClickHouse. No array is Nullable there, so one that may be null is a Variant."""
        if not self.nullable:
            return self.type.name
        return f"Variant({self.type.name})" if self.type.is_array else f"Nullable({self.type.name})"

    @property
    def told(self) -> str:
        """Its canonical text in ClickHouse, null for null."""
        if self.type.is_array:  # storage may be of a time when it was nullable
            variant = f"CAST({self.name}, {format_str(f'Variant({self.type.name})')})"
            array = self.type.clickhouse(f"variantElement({variant}, {format_str(self.type.name)})")
            return f"if(isNull({self.name}), NULL, {array})"
        return self.type.clickhouse(self.name)

    @property
    def comment(self) -> str:
        """What storage remembers of the column."""
        known = {"number": self.column.number, "type": self.column.declared, "missing": self.missing}
        return json.dumps({name: value for name, value in known.items() if value is not None})

    @property
    def definition(self) -> str:
        """The column as CREATE TABLE and ADD COLUMN take it."""
        given = f" DEFAULT {self.final(self.type.value(self._older), self._older)}" if self.missing is not None else ""
        return f"{self.name} {self.stored}{given} COMMENT {format_str(self.comment)}"

    @property
    def _older(self) -> str:
        return f"CAST({format_str(self.missing or '')} AS Nullable(String))"

    @property
    def is_sparse(self) -> bool:
        """Whether TOAST may leave it out, and tells."""
        return self.column.toastable and self.type.toast is not None and not self.key

    def text(self, place: int) -> str:
        """Return the text of its value in the tuple `r` at `place`, null for null and for what TOAST left out."""
        found = f"tupleElement(r, {place})"
        if self.missing is not None:
            found = f"if(deleted OR JSONHas(row, {format_str(self.column.name)}), {found}, {self._older})"
        return f"if({self.left_out(place)}, NULL, {found})" if self.is_sparse else found

    def left_out(self, place: int) -> str:
        """Return whether TOAST left its value, at `place` of the tuple `r`, out."""
        return f"partial AND tupleElement(r, {place}) = {format_str(self.type.toast or '')}"

    def final(self, value: str, text: str) -> str:
        """Return the value as storage takes it; null is what the type has for none where no null may be."""
        if self.type.is_array:
            variant = format_str(self.stored)
            return f"if(isNull({text}), CAST(NULL, {variant}), CAST({value}, {variant}))" if self.nullable else value
        return value if self.nullable else f"ifNull({value}, defaultValueOfTypeName({format_str(self.stored)}))"


@dataclass(frozen=True)
class Replica:
    """One table of PostgreSQL as ClickHouse has it; `toasts` is whether `toast.py` keeps what TOAST leaves out."""

    source: Table
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    toasts: bool = False

    @property
    def target(self) -> str:
        """The view's name: the table's, behind that of its schema unless it is public."""
        return self.source.name if self.source.schema == "public" else f"{self.source.schema}_{self.source.name}"

    @property
    def view(self) -> str:
        """The view's name, quoted."""
        return quote_identifier(self.target)

    @property
    def storage(self) -> str:
        """The name of the storage, quoted."""
        return quote_identifier(f"{self.target}__cdc")

    @property
    def order(self) -> str:
        """The key as ORDER BY takes it."""
        return ", ".join(map(quote_identifier, self.key))

    @property
    def sparse(self) -> list[Field]:
        """The columns that TOAST may leave out of a change."""
        return [field for field in self.fields if field.is_sparse]

    @property
    def floor(self) -> str:
        """The place at or below which no row counts."""
        return f"(SELECT max(position) FROM {FLOORS} WHERE `table` = {format_str(self.source.full_name)})"

    @property
    def comment(self) -> str:
        """What storage remembers of the table: one that was dropped and made anew has another number."""
        return f"Changes of {self.source.full_name}, newest a key; pg_class.oid {self.source.id}"

    @property
    def create(self) -> str:
        """The statement that makes storage."""
        own = [f"{name} {type}" for name, type in OWN.items()]
        columns = ", ".join([*(field.definition for field in self.fields), *own])
        return (
            f"CREATE TABLE IF NOT EXISTS {self.storage} ({columns}) "
            f"ENGINE = ReplacingMergeTree(_version, _deleted) ORDER BY ({self.order}) "
            f"COMMENT {format_str(self.comment)}"
        )

    @property
    def create_view(self) -> str:
        """The statement that makes the view of the current rows, where TOAST leaves nothing out."""
        columns = ", ".join(field.name for field in self.fields)
        return (
            f"CREATE OR REPLACE VIEW {self.view} AS SELECT {columns} FROM {self.storage} FINAL "
            f"WHERE _version > {self.floor}"
        )

    @property
    def insert(self) -> str:
        """What follows INSERT INTO, so that changes are put into storage; rows of INPUT follow it."""
        names = ", ".join([*(field.name for field in self.fields), *OWN])
        own = [VERSION, "deleted", "unavailable", "fromUnixTimestamp64Micro(changed_at)"]
        return f"{self.storage} ({names}) SELECT {', '.join([*self.finals(), *own])} FROM ({self.rows})"

    def refused(self, block: str) -> str:
        """Return what follows INSERT INTO, so that the rows of INPUT that do not fit are told, as those of `block`."""
        tried = ", ".join(f"{wrong}, {format_str(reason)}" for wrong, reason in self._wrong())
        told = f"SELECT place, multiIf({tried}, '') AS reason FROM ({self._parsed})"
        return (
            f"{REFUSED} (block, place, reason) SELECT toUUID('{block}'), place, reason FROM ({told}) WHERE reason != ''"
        )

    def finals(self, *, sparse: bool = False) -> list[str]:
        """Return the values of `rows` as storage takes them: of all columns, or of the key and the sparse ones."""
        return [
            field.final(f"v{place}", f"t{place}")
            for place, field in enumerate(self.fields, 1)
            if field.key or field.is_sparse or not sparse
        ]

    @property
    def rows(self) -> str:
        """The rows of INPUT, parsed: the text t and the value v of each column by its place, and those left out.

        A value that does not fit ends the statement.
        """
        checks = [f"NOT throwIf({wrong}, {format_str(reason)})" for wrong, reason in self._wrong()]
        return f"SELECT * FROM ({self._parsed}) WHERE {' AND '.join(checks)}"

    @cached_property
    def _parsed(self) -> str:
        texts = [f"{field.text(place)} AS t{place}" for place, field in enumerate(self.fields, 1)]
        values = [f"{field.type.value(f't{place}')} AS v{place}" for place, field in enumerate(self.fields, 1)]
        left_out = [
            f"if({field.left_out(place)}, [{format_str(field.column.name)}], [])"
            for place, field in enumerate(self.fields, 1)
            if field.is_sparse
        ]
        left = f"arrayConcat({', '.join(left_out)})" if left_out else "CAST([] AS Array(String))"
        parsed = ", ".join(f"{field.name} Nullable(String)" for field in self.fields)
        return (
            f"SELECT *, {', '.join(values)} FROM (SELECT *, {', '.join(texts)}, {left} AS unavailable FROM "
            f"(SELECT *, JSONExtract(row, {format_str(f'Tuple({parsed})')}) AS r FROM input({format_str(INPUT)})))"
        )

    def _wrong(self) -> Iterator[tuple[str, str]]:
        """Yield what is true of a row that does not fit, and what to say of it."""
        for place, field in enumerate(self.fields, 1):
            name = field.column.name
            if field.key:
                yield f"isNull(v{place})", f"key column {name} is null or no {field.type.name}"
            else:
                wrong = field.type.wrong(f"t{place}", f"v{place}")
                yield (
                    f"NOT deleted AND ({wrong})",
                    f"column {name}: no {field.type.name} holds this value; --as-text {self.source.full_name}.{name}"
                    " keeps it",
                )
        if self.sparse and not self.toasts:
            yield (
                "NOT deleted AND notEmpty(unavailable)",
                "TOAST left a value out, which was before REPLICA IDENTITY FULL:"
                f" `millrace cdc snapshot {self.source.full_name}` reads it",
            )
