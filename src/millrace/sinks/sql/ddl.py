"""Write every table and view as a MySQL script: `python -m millrace.sinks.sql.ddl > docker/mysql/tables.sql`."""

import sys
from collections.abc import Iterator

from sqlalchemy import insert
from sqlalchemy.schema import CreateIndex, CreateTable

from millrace.sinks.sql.statements import DIALECTS
from millrace.sinks.sql.tables import VERSION, metadata, versions
from millrace.sinks.sql.views import VIEWS

HEAD = """\
-- Every table and view of millrace, for a new volume of docker/compose.yaml: dashboards find them from the start.
-- `python -m millrace.sinks.sql.ddl` writes this file.

USE millrace;
"""


def script() -> str:
    """Return the statements that create in an empty database what `tables.create` creates."""
    return "\n".join([HEAD, *(f"{' '.join(statement.split())};" for statement in _statements())]) + "\n"


def _statements() -> Iterator[str]:
    dialect = DIALECTS["mysql"]
    for table in metadata.sorted_tables:
        yield str(CreateTable(table).compile(dialect=dialect))
        for index in sorted(table.indexes, key=lambda each: str(each.name)):
            yield str(CreateIndex(index).compile(dialect=dialect))
    for name, query in VIEWS.items():
        body = query(metadata.tables).compile(dialect=dialect, compile_kwargs={"literal_binds": True})
        yield f"CREATE VIEW {name} AS {body}"
    noted = insert(versions).values(version=VERSION)
    yield str(noted.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


if __name__ == "__main__":
    sys.stdout.write(script())
