"""Tables that no page is made for, which others put into the store: their rows as they are."""

import pandas as pd
from sqlalchemy import Engine, MetaData, Table, inspect, select

from millrace import names as checks
from millrace.errors import ConfigError
from millrace.sinks.sql import database
from millrace.sinks.sql import tables as ours
from millrace.sinks.sql.prune import AGES
from millrace.view import bounds

ROWS = 200
MOST = 12  # pages


def tables(engine: Engine) -> frozenset[str]:
    """Return the names of all tables; raises what `database.errors` does."""
    with database.errors(engine.url):
        return frozenset(inspect(engine).get_table_names())


def names(there: frozenset[str]) -> list[str]:
    """Return those of the tables that no page is made for and whose name is an identifier."""
    return sorted(name for name in there - ours.metadata.tables.keys() if _plain(name))[:MOST]


def _plain(name: str) -> bool:
    try:
        return bool(checks.identifier(name))
    except ConfigError:
        return False


def rows(engine: Engine, name: str) -> pd.DataFrame:
    """Return rows of a table, the newest where an index leads to them."""
    with database.errors(engine.url):
        table = Table(name, MetaData(), autoload_with=engine)
    keys = [table.primary_key.columns, *(index.columns for index in table.indexes)]
    leading = {column.name for columns in keys for column in list(columns)[:1]}  # none in an index of an expression
    order = [table.c[age].desc() for age in AGES if age in leading]
    return bounds.frame(engine, select(table).order_by(*order).limit(ROWS))
