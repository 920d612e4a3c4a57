"""Old rows go, in batches, and no others; without --yes none."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, insert, select

from millrace.errors import ConfigError
from millrace.sinks.sql import database, prune, tables

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'm.db'}"
    tables.create(url)
    made = database.connect(url)
    yield made
    made.dispose()


def tag(start: datetime, name: str = "a") -> dict[str, Any]:
    end = start + timedelta(minutes=1)
    return {"source": "bluesky", "window_start": start, "window_end": end, "hashtag": name, "posts": 1}


def put(engine: Engine, name: str, *rows: dict[str, Any]) -> None:
    with engine.begin() as connection:
        connection.execute(insert(tables.metadata.tables[name]), list(rows))


def test_what_is_old_goes_in_batches_and_the_rest_stays(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "BATCH", 10)
    put(engine, "hashtag_counts", *(tag(NOON - timedelta(minutes=n // 3), f"t{n % 3}") for n in range(90)))
    seen: list[int] = []
    prune.prune(engine, NOON - timedelta(minutes=9), seen.append)
    with engine.connect() as connection:
        left = connection.scalars(select(tables.hashtag_counts.c.window_start)).all()
    assert sum(seen) == 60
    assert len(seen) == 5 and max(seen) <= 12  # ten, and what is as old as the tenth
    assert len(left) == 30 and min(left) == NOON - timedelta(minutes=9)


def test_every_table_ages_by_its_own_time(engine: Engine) -> None:
    post = {"source": "mastodon", "event_time": NOON - 9 * DAY, "deleted": False}
    put(engine, "post_engagement", post | {"id": "old", "observed_at": NOON - 3 * DAY},
        post | {"id": "looked at again", "observed_at": NOON})  # fmt: skip
    put(engine, "gaps", {"source": "x", "gap_start": NOON - 9 * DAY, "gap_end": NOON},
        {"source": "x", "gap_start": NOON - 9 * DAY, "gap_end": NOON - 8 * DAY})  # fmt: skip
    put(engine, "progress", {"job": "j", "batch": 1, "updated_at": NOON - 9 * DAY})
    put(engine, "hashtag_counts", tag(NOON - 3 * DAY), tag(NOON))
    found = {each.table: each for each in prune.stocks(engine, NOON - DAY)}
    windowed = {name for name, table in tables.metadata.tables.items() if "window_start" in table.c}
    assert found.keys() == windowed | {"gaps", "post_engagement"}
    assert {name: (each.rows, each.old) for name, each in found.items() if each.rows} == dict.fromkeys(
        ("post_engagement", "gaps", "hashtag_counts"), (2, 1)
    )
    prune.prune(engine, NOON - DAY, lambda _: None)
    assert {each.rows - each.old for each in prune.stocks(engine, NOON - DAY) if each.rows} == {1}
    with engine.connect() as connection:
        assert connection.scalars(select(tables.post_engagement.c.id)).all() == ["looked at again"]
        assert connection.scalars(select(func.count()).select_from(tables.progress)).one() == 1


@pytest.mark.parametrize("wrong", ["", "soon", "0s", "99999999999d", "30 d'; DROP TABLE gaps"])
def test_an_age_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="--older-than"):
        prune.moment(wrong, NOON)


def test_an_age() -> None:
    assert prune.moment("1d 12h", NOON) == NOON - 1.5 * DAY
