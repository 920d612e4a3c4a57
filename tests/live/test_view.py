"""The page's queries, its reader and `millrace prune` on each SQL store."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, delete, select, text
from tests import stored, support
from tests.contract import own_database
from tests.stored import MINUTE

from millrace.errors import MillraceError
from millrace.sinks.sql import database, prune, tables
from millrace.view import bounds, health, market, others, social

ADDRESSES: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "sqlite": lambda request: f"sqlite:///{request.getfixturevalue('tmp_path') / 'm.db'}",
    "postgres": lambda request: own_database(request.getfixturevalue("postgres").store_url("postgres"), "viewed"),
    "mysql": lambda request: own_database(request.getfixturevalue("mysql").store_url("mysql"), "viewed"),
    "mariadb": lambda request: own_database(request.getfixturevalue("mariadb"), "viewed"),
}
NOON = support.window(support.now())


@pytest.fixture(params=ADDRESSES)
def url(request: pytest.FixtureRequest) -> str:
    """A store with rows in every table."""
    address = ADDRESSES[request.param](request)
    tables.create(address)
    engine = database.connect(address)
    stored.fill(engine, NOON)
    engine.dispose()
    return address


@pytest.fixture
def store(url: str) -> Iterator[Engine]:
    made = database.reader(url)
    yield made
    made.dispose()


def rows(store: Engine, view: str, start: Any) -> list[tuple[Any, ...]]:
    """Return (hashtag, posts, previous, change, share, rank) of a view in one window."""
    change, rank = map(store.dialect.identifier_preparer.quote, ("change", "rank"))
    sql = text(f"SELECT hashtag, posts, previous, {change}, share, {rank} FROM {view} "
               f"WHERE source = 'bluesky' AND window_start = :start ORDER BY 6, 1")  # fmt: skip
    with store.connect() as connection:
        return [tuple(row) for row in connection.execute(sql, {"start": start})]


def test_the_pages_show_what_the_views_say(store: Engine) -> None:
    found = social.hashtags(store, "bluesky", MINUTE)
    full = NOON - MINUTE
    moment = f"{full:%Y-%m-%dT%H:%M:%S}.000Z" if store.dialect.name == "sqlite" else full
    if store.dialect.name in ("mysql", "mariadb"):
        moment = full.replace(tzinfo=None)
    names = ["hashtag", "posts", "previous", "change", "share", "rank"]
    assert [tuple(row) for row in found[names].itertuples(index=False)] == [
        (tag, posts, before, change, pytest.approx(float(share)), place)
        for tag, posts, before, change, share, place in rows(store, "trending_hashtags", moment)
    ]
    assert set(found["hashtag"]) == set(stored.TAGS)
    assert bounds.lengths(store, tables.hashtag_counts, "bluesky") == [MINUTE]
    assert bounds.different(store, tables.hashtag_counts.c.source) == ["bluesky", "mastodon"]
    languages = social.shares(store, tables.language_counts, "language", "mastodon", MINUTE)
    assert languages.values.tolist() == [["und", 200, pytest.approx(5 / 12)], ["de", 160, pytest.approx(4 / 12)],
                                         ["en", 120, pytest.approx(3 / 12)]]  # fmt: skip
    assert social.rate(store, "mastodon", MINUTE / 6)["posts"].iloc[-1] == 36.0  # the newest is still filling
    assert list(social.minutes(store, "bluesky")["top_hashtag_posts"].astype(int))[:3] == [
        max(1 + (7 * n + 3 * place) % 11 for place in range(len(stored.TAGS))) for n in range(3)
    ]
    assert social.reactions(store)["engagement_score"].tolist() == [6.0 * n for n in range(9, 0, -1)]
    assert len(social.engagement(store, "mastodon", MINUTE)) == 39
    assert market.symbols(store) == list(stored.SYMBOLS) and market.resolutions(store, "AAPL") == ["1m"]
    candles = market.candles(store, "AAPL", "1m")
    assert len(candles) == 40 and (~candles["complete"]).sum() == 1 and candles["open"].iloc[-1] == 100.0
    assert set(health.ages(store, set(others.tables(store))).values()) == {NOON}
    assert health.gaps(store)["reason"].tolist() == [stored.HOSTILE]


def test_windows_that_overlap_count_a_post_once(url: str, store: Engine) -> None:
    engine = database.connect(url)
    five = timedelta(minutes=5)
    stored.put(engine, "language_counts", *(
        stored.window("slid", NOON - n * MINUTE, five) | {"language": "en", "posts": 100 if n % 5 else 1 + n}
        for n in range(70)
    ))  # fmt: skip
    engine.dispose()
    found = social.shares(store, tables.language_counts, "language", "slid", five)
    assert found.values.tolist() == [["en", sum(1 + n for n in range(0, 60, 5)), 1.0]]


def test_a_table_with_an_index_of_an_expression(request: pytest.FixtureRequest) -> None:
    """SQLAlchemy tells of one in PostgreSQL alone."""
    url = ADDRESSES["postgres"](request)
    engine = database.connect(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE sentiment (id TEXT, label TEXT)"))
        connection.execute(text("CREATE INDEX lowered ON sentiment (lower(label))"))
        connection.execute(text("INSERT INTO sentiment VALUES ('a', 'Glad')"))
    assert others.rows(engine, "sentiment").values.tolist() == [["a", "Glad"]]
    engine.dispose()


def test_a_reader_cannot_write(store: Engine) -> None:
    for _ in range(2):  # also on a connection that was used before
        with (
            pytest.raises(MillraceError, match=r"(?i)read.?only"),
            database.errors(store.url),
            store.begin() as writing,
        ):
            writing.execute(delete(tables.gaps))
    assert len(health.gaps(store)) == 1


def test_prune(url: str, store: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "BATCH", 50)
    before = NOON - timedelta(minutes=10)
    engine, seen = database.connect(url), []
    old = {each.table: each for each in prune.stocks(store, before)}
    assert old["hashtag_counts"].old == 29 * len(stored.TAGS) and old["candles"].old == 29 * len(stored.SYMBOLS)
    prune.prune(engine, before, seen.append)
    engine.dispose()
    left = {each.table: each for each in prune.stocks(store, before)}
    assert sum(seen) == sum(each.old for each in old.values()) and len(seen) > len(old)
    assert {name: each.rows for name, each in left.items()} == {
        name: each.rows - each.old for name, each in old.items()
    }
    with store.connect() as connection:
        assert min(connection.scalars(select(tables.hashtag_counts.c.window_start))) == before
