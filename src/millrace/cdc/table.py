"""A captured table as PostgreSQL's catalog has it: columns by number, types below domains, keys, identity."""

from dataclasses import dataclass

FULL, INDEX = "f", "i"  # replica identities: the whole row, and the columns of an index


@dataclass(frozen=True)
class Column:
    """One column: `number` stays when it is renamed; `type` is below its domains, `element` that of an array's items.

    `declared` is as PostgreSQL writes it; `modifier` holds its precision; `missing` is the array, as text, of the value
    that rows from before an ADD COLUMN read.
    """

    number: int
    name: str
    type: str
    element: str | None
    dimensions: int
    modifier: int
    declared: str
    nullable: bool
    generated: str
    toastable: bool
    missing: str | None
    has_default: bool = False


@dataclass(frozen=True)
class Index:
    """A unique index; `usable` as a key: neither partial nor of expressions, valid, and checked at once."""

    name: str
    is_primary: bool
    is_identity: bool
    usable: bool
    immediate: bool
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """One table as it is now; `identity` is what an UPDATE or DELETE tells of the old row (pg_class.relreplident).

    `parts` are its partitions, where it has some.
    """

    id: int
    schema: str
    name: str
    kind: str
    identity: str
    columns: tuple[Column, ...]
    indexes: tuple[Index, ...]
    parts: frozenset[str] = frozenset()

    @property
    def full_name(self) -> str:
        """`schema.table`, as options and topics write it."""
        return f"{self.schema}.{self.name}"

    @property
    def primary(self) -> Index | None:
        """The index of the primary key."""
        return next((each for each in self.indexes if each.is_primary), None)

    def column(self, name: str) -> Column | None:
        """Return the column called `name`."""
        return next((each for each in self.columns if each.name == name), None)
