"""docker/superset/windows.sql, which Superset fills in, on MySQL: which windows are full, tumbling and sliding."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from sqlalchemy import Engine, delete, text
from tests import stored
from tests.stored import MINUTE

from millrace.config import Settings
from millrace.sinks.sql import database, tables

SUPERSET = Path(__file__).parents[2] / "docker" / "superset"
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def store(mysql: Settings) -> Iterator[Engine]:
    tables.create(mysql.store_url("mysql"))
    engine = database.connect(mysql.store_url("mysql"))
    with engine.begin() as connection:
        for table in (tables.hashtag_counts, tables.post_counts):
            connection.execute(delete(table))
    yield engine
    engine.dispose()


def ask(store: Engine, name: str, asked: str, start: datetime = NOON - HOUR, end: datetime = NOON + HOUR) -> list[Any]:
    """Return what `asked` gives of dataset `name` in the time from `start` to `end`."""

    class Time:
        from_expr, to_expr = (f"'{each:%Y-%m-%d %H:%M:%S}'" for each in (start, end))

    source = (SUPERSET / "windows.sql").read_text().replace("<table>", name)
    known = {"get_time_filter": lambda column: Time, "filter_values": lambda column: []}
    rows = jinja2.Template(source, autoescape=False).render(known)
    with store.connect() as connection:
        return list(connection.execute(text(f"SELECT {asked} FROM ({rows}) AS d".replace(":", r"\:"))))


def expression(name: str, kind: str, key: str, value: str) -> str:
    dataset = yaml.safe_load((SUPERSET / "assets" / "datasets" / "millrace" / f"{name}.yaml").read_text())
    [found] = [each["expression"] for each in dataset[kind] if each[key] == value]
    return str(found)


def fill(store: Engine, length: timedelta, slide: timedelta) -> None:
    """A hashtag ten times a minute from 11:00, twenty times from 11:50, up to 12:04:30."""
    last = NOON + 4.5 * MINUTE

    def before(moment: datetime) -> int:
        moment = min(max(moment, NOON - HOUR), last)
        return 10 * ((moment - NOON + HOUR) // MINUTE) + 10 * (max(moment - NOON + 10 * MINUTE, 0 * MINUTE) // MINUTE)

    starts = [NOON - HOUR - length + n * slide for n in range(1, 200) if NOON - HOUR - length + n * slide <= last]
    rows = [stored.window("x", each, length) | {"posts": before(each + length) - before(each)} for each in starts]
    stored.put(store, "hashtag_counts", *(row | {"hashtag": "cat"} for row in rows))


@pytest.mark.parametrize(("length", "slide"), [(MINUTE, MINUTE), (10 * MINUTE, MINUTE), (10 * MINUTE, 10 * MINUTE)])
def test_ten_minutes_are_ten_full_minutes(store: Engine, length: timedelta, slide: timedelta) -> None:
    fill(store, length, slide)
    names = ("Last 10 min", "Change")
    told = ", ".join(expression("hashtag_counts", "metrics", "metric_name", name) for name in names)
    assert ask(store, "hashtag_counts", told) == [(200, 100 if length > MINUTE else 60)]


def test_a_time_that_is_over_has_full_windows_to_its_end(store: Engine) -> None:
    fill(store, MINUTE, MINUTE)
    assert ask(store, "hashtag_counts", "SUM(is_full), COUNT(*)", end=NOON) == [(60, 60)]


def test_a_minute_is_shown_once_it_is_over(store: Engine) -> None:
    """Of ten seconds each, up to 12:01:10; those of another length and source, which are ahead, say nothing."""
    ten = MINUTE / 6
    rows = [stored.window("x", NOON + n * ten, ten) | {"posts": 1} for n in range(8)]
    ahead = [stored.window("x", NOON + 5 * MINUTE, MINUTE), stored.window("y", NOON + 5 * MINUTE, ten)]
    stored.put(store, "post_counts", *rows, *(row | {"posts": 1} for row in ahead))
    shown = expression("post_counts", "columns", "column_name", "minute_is_full")
    asked = f"SUM(is_full), SUM(CASE WHEN {shown} THEN posts ELSE 0 END), COUNT(*)"
    assert ask(store, "post_counts", asked) == [(7, 6, 9)]
