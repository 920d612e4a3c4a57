"""Delete old rows from SQL stores: windows by their start, gaps by their end, posts by their last observation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Column, Engine, delete, func, inspect, select

from millrace.durations import seconds
from millrace.errors import ConfigError
from millrace.sinks.retry import Patience
from millrace.sinks.sql import database, tables

AGES = ("window_start", "gap_end", "observed_at")  # columns that tell a row's age; all but gap_end have an index
BATCH = 10_000  # rows per transaction, plus those as old as the last of them


@dataclass(frozen=True)
class Stock:
    """How many rows a table has, and how many of them are older than a given time."""

    table: str
    rows: int
    old: int


def moment(older_than: str, now: datetime) -> datetime:
    """Return the time `older_than` (30d, 12h) before `now`; raises ConfigError if that is no such duration."""
    try:
        age = seconds(older_than)
        if age <= 0:
            raise ValueError(f"{older_than!r} would leave nothing")
        return now - timedelta(seconds=age)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"--older-than: {error}") from None


def stocks(engine: Engine, before: datetime) -> list[Stock]:
    """Count the rows of each table with an age column, and those from before `before`; raises as `prune` does."""
    with database.errors(engine.url), engine.connect() as connection:
        return [
            Stock(
                age.table.name,
                connection.scalars(select(func.count()).select_from(age.table)).one(),
                connection.scalars(select(func.count()).select_from(age.table).where(age < before)).one(),
            )
            for age in _ages(engine)
        ]


def prune(engine: Engine, before: datetime, advance: Callable[[int], None], patience: Patience | None = None) -> None:
    """Delete the rows from before `before`, the oldest first, and call `advance` with the size of each batch.

    A batch is a transaction: what was deleted before an interruption stays deleted. Raises as `writer.upsert` does.
    """
    with database.errors(engine.url):
        ages = list(_ages(engine))
    for age in ages:
        while removed := (patience or Patience()).attempt(partial(_remove, engine, age, before)):
            advance(removed)


def _ages(engine: Engine) -> Iterator[Column[datetime]]:
    there = inspect(engine).get_table_names()
    for table in tables.metadata.sorted_tables:
        if table.name in there:
            yield from (table.c[name] for name in AGES if name in table.c)


def _remove(engine: Engine, age: Column[datetime], before: datetime) -> int:
    last = select(age).where(age < before).order_by(age).offset(BATCH - 1).limit(1)
    with database.errors(engine.url, f"table {age.table.name} in "), engine.begin() as connection:
        bound = connection.scalars(last).one_or_none()
        old = age < before if bound is None else age <= bound
        return connection.execute(delete(age.table).where(old)).rowcount
