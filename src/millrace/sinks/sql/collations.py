"""Find text that a store does not compare byte by byte: keys that differ would be one row."""

import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, Connection, Table

from millrace.sinks.sql.statements import DIALECTS, dialect_name

BYTES = re.compile(r"utf8mb4_(\w+_)?bin")
QUERIES = {  # (table, column, collation): in MySQL of all text, in the others of what does not compare by bytes
    "mysql": "SELECT table_name, column_name, collation_name FROM information_schema.columns"
    " WHERE table_schema = DATABASE() AND collation_name IS NOT NULL",
    "postgresql": "SELECT relname, attname, collname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
    " JOIN pg_collation ON pg_collation.oid = attcollation"
    " WHERE NOT collisdeterministic AND pg_table_is_visible(attrelid)",
    "sqlite": "SELECT t.name, c.name, c.coll FROM sqlite_master AS t, pragma_index_list(t.name) AS i,"
    " pragma_index_xinfo(i.name) AS c WHERE t.type = 'table' AND i.\"unique\" AND c.key AND c.coll <> 'BINARY'",
}
PREFIXES = (  # tables of MySQL in which a unique key goes by the first characters of a text alone
    "SELECT table_name FROM information_schema.statistics"
    " WHERE table_schema = DATABASE() AND sub_part IS NOT NULL AND non_unique = 0"
)


class Collations:
    """How a store compares the text of its tables; in those `shortened`, keys go by the first characters alone."""

    def __init__(self, connection: Connection) -> None:
        self._dialect = dialect_name(connection.dialect.name)
        found = connection.exec_driver_sql(QUERIES[self._dialect])
        self._of = {(table, column): collation for table, column, collation in found}
        self.shortened = set(connection.exec_driver_sql(PREFIXES).scalars()) if self._dialect == "mysql" else set()

    def loose(self, table: Table) -> Iterator[tuple[Column[Any], str]]:
        """Yield the columns of `table` in which different texts are equal, or emoji have no room, and say why."""
        for column in table.columns:
            place = (table.name, column.name)
            collation = self._of.get(place)
            exact = getattr(column.type.dialect_impl(DIALECTS["mysql"]), "collation", None)
            if collation and exact and not BYTES.fullmatch(collation):
                yield column, f"compares {column.name} by {collation}"
            elif collation and self._dialect == "mysql" and not collation.startswith("utf8mb4_"):
                yield column, f"has {column.name} in {collation}, without emoji"
