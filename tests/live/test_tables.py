"""Tables that are there, but not as they are made, on every store: what is wrong is told with what mends it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, make_url, text
from tests.contract import own_database

from millrace import config
from millrace.errors import ConfigError
from millrace.kafka import results
from millrace.sinks import registry
from millrace.sinks.sink import Target
from millrace.sinks.sql import candles, database, tables
from millrace.sinks.sql.views import VIEWS

STORES: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "sqlite": lambda request: f"sqlite:///{request.getfixturevalue('tmp_path') / 'a.db'}",
    "mysql": lambda request: own_database(request.getfixturevalue("mysql").store_url("mysql"), "fit"),
    "mariadb": lambda request: own_database(request.getfixturevalue("mariadb"), "fit"),
    "postgres": lambda request: own_database(request.getfixturevalue("postgres").store_url("postgres"), "fit"),
}
SCRIPT = Path(__file__).parents[2] / "docker" / "mysql" / "tables.sql"
AUTHORS = "source VARCHAR(16) NOT NULL, window_start VARCHAR(24) NOT NULL, window_end VARCHAR(24) NOT NULL"
KEY = "PRIMARY KEY (source, window_start, window_end, author)"
KEYLESS = r"author_counts has not the key \(source, window_start, window_end, author\)"


def anew(columns: str) -> str:
    """Statements for SQLite, which cannot change a column: the table made by hand."""
    return f"DROP TABLE author_counts; CREATE TABLE author_counts ({AUTHORS}, {columns})"


SPOILED = {  # a dialect's way to spoil a right table, and what is told
    "sqlite": [
        (anew("author VARCHAR(300) NOT NULL, posts BIGINT NOT NULL"), KEYLESS),
        (
            anew(f"author VARCHAR(300) COLLATE NOCASE NOT NULL, posts BIGINT, {KEY}"),
            "author_counts compares author by NOCASE",
        ),
        (anew(f"author BIGINT NOT NULL, posts BIGINT, {KEY}"), "author_counts has author as BIGINT"),
        (anew(f"author TEXT NOT NULL, {KEY}"), "author_counts has no column posts"),
        (anew(f"author TEXT NOT NULL, posts BIGINT, UNIQUE (posts), {KEY}"), r"author_counts may have \(posts\) once"),
        (
            anew(f"author TEXT NOT NULL, posts BIGINT, own TEXT NOT NULL, {KEY}"),
            "author_counts has a column own of its",
        ),
    ],
    "mysql": [
        ("ALTER TABLE author_counts DROP PRIMARY KEY", KEYLESS),
        (
            "ALTER TABLE author_counts MODIFY author VARCHAR(300) COLLATE utf8mb4_unicode_ci NOT NULL",
            "author_counts compares author by utf8mb4_unicode_ci",
        ),
        ("ALTER TABLE author_counts MODIFY author VARCHAR(99) NOT NULL", r"author_counts has author as VARCHAR\(99\)"),
        ("ALTER TABLE author_counts MODIFY posts INT NOT NULL", "author_counts has posts as INT"),
        ("ALTER TABLE post_counts MODIFY window_start DATETIME NOT NULL", "post_counts has window_start as DATETIME"),
        ("ALTER TABLE candles MODIFY volume DECIMAL(28, 2) NOT NULL", r"candles has volume as DECIMAL\(28, 2\)"),
        ("ALTER TABLE candles MODIFY vwap DOUBLE", "candles has vwap as DOUBLE"),
        ("ALTER TABLE post_engagement MODIFY author VARCHAR(300) NOT NULL", "post_engagement has author NOT NULL"),
        ("ALTER TABLE author_counts DROP COLUMN posts", "author_counts has no column posts"),
        ("ALTER TABLE author_counts ADD UNIQUE (posts)", r"author_counts may have \(posts\) once only"),
        ("ALTER TABLE author_counts ADD own INT NOT NULL", "author_counts has a column own of its own"),
        ("ALTER TABLE gaps MODIFY reason VARCHAR(300) CHARACTER SET latin1", "gaps has reason in latin1_swedish_ci"),
        (
            "ALTER TABLE author_counts DROP PRIMARY KEY,"
            " ADD PRIMARY KEY (source, window_start, window_end, author(10))",
            "author_counts has only the first characters of text in the key",
        ),
    ],
    "postgresql": [
        ("ALTER TABLE author_counts DROP CONSTRAINT author_counts_pkey", KEYLESS),
        (
            "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level1', deterministic = false);"
            f"DROP VIEW {', '.join(VIEWS)}; ALTER TABLE author_counts ALTER author TYPE VARCHAR(300) COLLATE folded",
            "author_counts compares author by folded",
        ),
        (
            f"DROP VIEW {', '.join(VIEWS)}; ALTER TABLE author_counts ALTER author TYPE VARCHAR(99)",
            r"author_counts has author as VARCHAR\(99\)",
        ),
        ("DROP VIEW candles_flat; ALTER TABLE gaps ALTER gap_end TYPE TIMESTAMP", "gaps has gap_end as TIMESTAMP"),
        ("ALTER TABLE progress ALTER batch TYPE INT", "progress has batch as INTEGER"),
        ("ALTER TABLE post_engagement ALTER author SET NOT NULL", "post_engagement has author NOT NULL"),
        ("DROP VIEW most_active_authors; ALTER TABLE author_counts DROP posts", "author_counts has no column posts"),
        ("ALTER TABLE author_counts ADD UNIQUE (posts)", r"author_counts may have \(posts\) once only"),
        ("CREATE UNIQUE INDEX one ON author_counts (posts)", r"author_counts may have \(posts\) once only"),
        ("ALTER TABLE author_counts ADD own INT NOT NULL", "author_counts has a column own of its own"),
    ],
}
DIALECT = {"sqlite": "sqlite", "mysql": "mysql", "mariadb": "mysql", "postgres": "postgresql"}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> tuple[str, list[tuple[str, str]]]:
    """An empty database, and the ways to spoil its tables."""
    return STORES[request.param](request), SPOILED[DIALECT[request.param]]


def execute(url: str, *statements: str) -> None:
    """Execute statements, each by itself; raises as sinks do."""
    engine = database.connect(url)
    try:
        for statement in statements:
            with database.errors(engine.url), engine.begin() as connection:
                connection.exec_driver_sql(statement)
    finally:
        engine.dispose()


def told(url: str) -> str:
    with pytest.raises(ConfigError) as caught:
        tables.create(url)
    return str(caught.value)


def mending(message: str) -> list[str]:
    """The statements at the end of a message."""
    return message.partition("Tables that are there): ")[2].split("; ")


def test_what_would_lose_or_merge_rows_is_told_with_what_mends_it(store: tuple[str, list[tuple[str, str]]]) -> None:
    """Each by itself: what is told is all that is wrong, and its statements are all that it takes."""
    url, spoiled = store
    tables.create(url)
    for statements, expected in spoiled:
        execute(url, *statements.split(";"))
        message = told(url)
        assert re.search(rf"in tables that are there: {expected}[^:]*\. Stop what", message), message
        execute(url, *mending(message))
        if "_before" in message:
            execute(url, "DROP TABLE author_counts_before")
        tables.create(url)


def test_a_job_that_starts_is_told(tmp_path: Path) -> None:
    target = Target(config.load(home=tmp_path))
    registry.writer(["sqlite"], results.POST_COUNTS, target)
    execute(target.settings.store_url("sqlite"), *anew("author TEXT, posts INT").split(";"))
    with pytest.raises(ConfigError, match=KEYLESS):
        registry.writer(["sqlite"], results.POST_COUNTS, target)


def test_all_that_is_wrong_is_told_at_once(store: tuple[str, list[tuple[str, str]]]) -> None:
    url, _ = store
    execute(url, "CREATE TABLE author_counts (author VARCHAR(9))", "CREATE TABLE post_counts (posts INT)")
    message = told(url)
    for name in ("source", "window_start", "window_end", "posts"):
        assert f"author_counts has no column {name}" in message
    assert "author_counts has not the key" in message and "post_counts has not the key" in message
    assert make_url(url).password is None or make_url(url).password not in message
    engine = database.connect(url)
    assert set(inspect(engine).get_table_names()) == {"author_counts", "post_counts"}  # nothing was made
    engine.dispose()


def test_more_columns_and_indexes_are_no_fault_and_what_lacks_is_added(
    store: tuple[str, list[tuple[str, str]]],
) -> None:
    """As in a store that an earlier version made, whose tables lack a column of this one."""
    url, _ = store
    tables.create(url)
    execute(
        url,
        "ALTER TABLE author_counts ADD COLUMN note VARCHAR(20)",
        "ALTER TABLE author_counts ADD COLUMN kind INT NOT NULL DEFAULT 0",
        "CREATE INDEX by_posts ON author_counts (posts)",
        "CREATE UNIQUE INDEX wider ON author_counts (source, window_start, window_end, author, posts)",
        "ALTER TABLE post_engagement DROP COLUMN replies",
    )
    tables.create(url)
    engine = database.connect(url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT replies FROM post_engagement")).all() == []
    assert "note" in {column["name"] for column in inspect(engine).get_columns("author_counts")}
    engine.dispose()


def test_views_of_an_earlier_version_are_replaced_and_those_of_this_one_stay(
    store: tuple[str, list[tuple[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a later one stay, too; one that is missing is made."""
    url, _ = store
    tables.create(url)
    made: list[str] = []
    monkeypatch.setattr(tables, "create_view", lambda connection, name, query: made.append(name))
    for version, expected in ((tables.VERSION - 1, [*VIEWS]), (tables.VERSION, []), (tables.VERSION + 1, [])):
        execute(url, "DELETE FROM millrace_schema", f"INSERT INTO millrace_schema VALUES ({version})")
        tables.create(url)
        assert made == expected
        made.clear()
    execute(url, "DROP VIEW language_shares")
    tables.create(url)
    assert made == ["language_shares"]


def test_a_progress_of_an_earlier_version_is_renewed(store: tuple[str, list[tuple[str, str]]]) -> None:
    """It had one row a job, so that of two the one that was behind looked finished."""
    url, _ = store
    tables.create(url)
    execute(url, "DROP TABLE progress", "CREATE TABLE progress (job VARCHAR(64) PRIMARY KEY, batch BIGINT)",
            "INSERT INTO progress VALUES ('candles', 7)")  # fmt: skip
    tables.create(url)
    engine = database.connect(url)
    for number, checkpoint in enumerate(("file:///a", "file:///" + "b" * 300, "file:///a")):
        candles.note_progress(engine, "candles", number, None, checkpoint=checkpoint)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT checkpoint, batch FROM progress ORDER BY checkpoint")).all()
    engine.dispose()
    assert list(map(tuple, rows)) == [("b" * 255, 1), ("file:///a", 2)]


def run_script(url: str) -> None:
    script = re.sub(r"^--.*$|^USE .*$", "", SCRIPT.read_text(), flags=re.MULTILINE)
    execute(url, *filter(str.strip, script.split(";\n")))


@pytest.mark.parametrize("server", ["mysql", "mariadb"])
def test_the_script_makes_tables_that_need_nothing_more(server: str, request: pytest.FixtureRequest) -> None:
    """A user who may make nothing, and change no table, starts with them."""
    url = STORES[server](request)
    run_script(url)
    execute(
        url,
        "DROP USER IF EXISTS few",
        "CREATE USER few IDENTIFIED BY 'few secret'",
        "GRANT SELECT, INSERT, UPDATE ON fit.* TO few",
    )
    few: Any = make_url(url).set(username="few", password="few secret").render_as_string(hide_password=False)
    tables.create(few)
    execute(url, "ALTER TABLE gaps DROP COLUMN reason")
    with pytest.raises(ConfigError, match=r"ALTER TABLE gaps ADD COLUMN reason VARCHAR\(300\); .*denied"):
        tables.create(few)
    execute(url, "DROP USER few")


def test_a_role_that_may_make_nothing_starts_with_right_tables(request: pytest.FixtureRequest) -> None:
    url = STORES["postgres"](request)
    tables.create(url)
    execute(
        url,
        "DROP ROLE IF EXISTS few",
        "CREATE ROLE few LOGIN PASSWORD 'few secret'",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO few",
    )
    few = make_url(url).set(username="few", password="few secret").render_as_string(hide_password=False)
    try:
        tables.create(few)
        with pytest.raises(ConfigError, match="denied"):
            execute(few, "CREATE TABLE mine (n INT)")
    finally:
        execute(url, "DROP OWNED BY few", "DROP ROLE few")
