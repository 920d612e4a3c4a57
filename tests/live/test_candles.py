"""Candles from Kafka into every store and into a topic for each symbol, against exact fractions."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import randrange
from typing import Any
from uuid import uuid4

import pytest
from pyspark.sql import DataFrame, SparkSession
from sqlalchemy import inspect, select, text
from tests import stocks
from tests.stocks import NOON, Tick
from tests.support import Job, environment, new_topic, producer, records, run_job, sqlite, truncate, wait

from millrace import config, stack
from millrace.applications import candle_targets
from millrace.applications.candle_targets import Targets
from millrace.applications.registry import JOBS
from millrace.config import Settings
from millrace.errors import ConfigError
from millrace.kafka import gaps, results, topics
from millrace.names import symbol_topic
from millrace.sinks import candle_topics as market_topics
from millrace.sinks.clickhouse import reader as clickhouse_reader
from millrace.sinks.sql import candles as market
from millrace.sinks.sql import database, tables
from millrace.sinks.sql import reserved_words as reserved

Rows = dict[tuple[str, str, datetime], dict[str, Any]]


@pytest.fixture
def symbols() -> list[str]:
    """Symbols that no other test has."""
    run = uuid4().hex[:6].upper()
    return [f"BINANCE:{run}BTC", f"BRK.{run}", f"^{run}", f"OANDA:{run}_USD"]


@pytest.fixture
def everywhere(kafka: Settings, mysql: Settings, postgres: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of all SQL stores, also those of a job in this process."""
    both = mysql.model_copy(update={"postgres_url": postgres.postgres_url})
    for key, value in environment(both).items():
        monkeypatch.setenv(key, value)
    return both


def send(settings: Settings, topic: str, ticks: list[Tick]) -> None:
    with producer(settings.kafka_bootstrap) as writer:
        for tick in ticks:
            value, moment = tick.record()
            at = round(moment.timestamp() * 1000)
            writer.send(topic, bytes(value), key=tick.symbol.encode(), timestamp_ms=at)


def send_gap(settings: Settings, start: datetime, end: datetime, source: str = "finnhub") -> None:
    value = {"source": source, "host": "ws://mill", "from": start.isoformat(), "to": end.isoformat(), "reason": "lost"}
    with producer(settings.kafka_bootstrap) as writer:
        writer.send(topics.GAPS.name, json.dumps(value).encode(), key=source.encode())


def query(url: str, statement: Any) -> list[Any]:
    engine = database.connect(url)
    try:
        with engine.connect() as connection:
            return list(connection.execute(statement).mappings())
    finally:
        engine.dispose()


def stored(url: str, symbols: list[str]) -> Rows:
    """Return table candles of some symbols: prices, counts and `complete` by key."""
    rows = query(url, select(tables.candles).where(tables.candles.c.symbol.in_(symbols)))
    return {(row["symbol"], row["resolution"], row["window_start"]): plain(row) for row in rows}


def plain(row: Any) -> dict[str, Any]:
    return {name: row[name] for name in ("open", "high", "low", "close", "volume", "vwap", "trades", "updates")}


def nearly(rows: Rows) -> Rows:
    """Round as SQLite does."""
    return {key: {name: value if value is None else float(value) for name, value in row.items()}
            for key, row in rows.items()}  # fmt: skip


def touched(rows: Iterator[Any] | list[Any], start: datetime, end: datetime) -> bool:
    """Whether exactly the rows that a gap touches are incomplete."""
    return all(row["complete"] == (row["window_start"] > end or row["window_end"] <= start) for row in rows)


def published(settings: Settings, symbol: str) -> list[dict[str, Any]]:
    found = records(settings.kafka_bootstrap, symbol_topic(symbol))
    return [json.loads(record.value, parse_float=Decimal) for record in found]


def test_every_store_holds_the_right_candles(
    everywhere: Settings, spark: SparkSession, symbols: list[str], tmp_path: Path
) -> None:
    topic, day = new_topic(everywhere.kafka_bootstrap), NOON + timedelta(days=1)
    ticks = stocks.walk(symbols, 2500, seed=11, start=day)
    late = sorted(stocks.shuffled(ticks, 1), key=lambda tick: tick.time // 200_000)
    send(everywhere, topic, [*late, Tick("OTHER", Decimal(1), Decimal(1), ticks[0].time, 0)])
    send_gap(everywhere, day + timedelta(minutes=3), day + timedelta(minutes=4, seconds=1))
    send_gap(everywhere, day, day + timedelta(minutes=30), source="another feed")
    sinks = [word for name in ("kafka", "sqlite", "mysql", "postgres") for word in ("--sink", name)]
    options = ["--topic", topic, "--resolution", "1m", "--resolution", "5m", *sinks, "--once", "--max-offsets", "900"]
    run_job("candles", *symbols, *options, "--home", str(tmp_path))
    right = stocks.candles(ticks, "1m", "5m")
    for url in (everywhere.store_url("mysql"), everywhere.store_url("postgres")):
        assert stored(url, symbols) == right
    assert nearly(stored(sqlite(tmp_path), symbols)) == nearly(right)
    for url in (sqlite(tmp_path), everywhere.store_url("mysql"), everywhere.store_url("postgres")):
        rows = query(url, select(tables.candles).where(tables.candles.c.symbol.in_(symbols)))
        assert touched(rows, day + timedelta(minutes=3), day + timedelta(minutes=4, seconds=1))
        assert {row["complete"] for row in rows} == {True, False}
        views = {row["symbol"]: row["view_name"] for row in query(url, select(tables.symbols))}
        for symbol in symbols:
            seen = query(url, text(f"SELECT * FROM {views[symbol]}"))
            assert {row["symbol"] for row in seen} == {symbol}
            assert len(seen) == len([key for key in right if key[0] == symbol])
        assert "other" not in views.values() and "OTHER" not in {row["symbol"] for row in rows}
    for symbol in symbols:
        last = {(row["resolution"], row["window_start"]): row for row in published(everywhere, symbol)}
        found = {(symbol, name, datetime.fromisoformat(start)): plain(row) for (name, start), row in last.items()}
        assert found == {key: row for key, row in right.items() if key[0] == symbol}
        assert all(row["symbol"] == symbol for row in last.values())


def test_mariadb_holds_the_same(
    *,
    kafka: Settings,
    mariadb: str,
    spark: SparkSession,
    symbols: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topic, day = new_topic(kafka.kafka_bootstrap), NOON + timedelta(days=7)
    ticks = stocks.walk(symbols, 900, seed=14, start=day)
    send(kafka, topic, ticks)
    send_gap(kafka, day, day + timedelta(seconds=90))
    monkeypatch.setenv("MILLRACE_MYSQL_URL", mariadb)
    options = ["--topic", topic, "--bootstrap", kafka.kafka_bootstrap, "--sink", "mysql", "--once", "--gaps", "flat"]
    run_job("candles", *symbols, *options, "--home", str(tmp_path), "--max-offsets", "300")
    assert stored(mariadb, symbols) == stocks.candles(ticks, "1m")
    rows = query(mariadb, select(tables.candles).where(tables.candles.c.symbol.in_(symbols)))
    assert touched(rows, day, day + timedelta(seconds=90))
    view = market.register(mariadb, {symbols[0]: symbol_topic(symbols[0])}, flat=True)[symbols[0]]
    starts = [row["window_start"] for row in query(mariadb, text(f"SELECT window_start FROM {view} ORDER BY 1"))]
    assert [later - earlier for earlier, later in pairwise(starts)] == [timedelta(minutes=1)] * (len(starts) - 1)


def test_clickhouse_holds_the_same(
    kafka: Settings, spark: SparkSession, symbols: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has started it, and no setting names it; a gap that is told later marks what is stored."""
    monkeypatch.delenv("MILLRACE_CLICKHOUSE_URL", raising=False)
    topic, day = new_topic(kafka.kafka_bootstrap), NOON - timedelta(days=randrange(10, 10_000))  # of no gap yet
    ticks = stocks.walk(symbols[:2], 400, seed=15, start=day)
    send(kafka, topic, ticks)
    settings = config.load(home=tmp_path)
    options = ["--topic", topic, "--bootstrap", kafka.kafka_bootstrap, "--sink", "clickhouse", "--once"]
    command = [*symbols[:2], *options, "--home", str(tmp_path)]
    try:
        run_job("candles", *command)
        assert all(row["complete"] for row in clickhouse_reader.rows(settings.clickhouse, results.CANDLES))
        send_gap(kafka, day, day + timedelta(seconds=90))
        run_job("candles", *command)
        rows = list(clickhouse_reader.rows(settings.clickhouse, results.CANDLES))
        found = {(row["symbol"], row["resolution"], row["window_start"]): plain(row) for row in rows}
        assert found == stocks.candles(ticks, "1m") and len(rows) == len(found)
        assert touched(rows, day, day + timedelta(seconds=90)) and {row["complete"] for row in rows} == {True, False}
    finally:
        stack.down(settings, ["clickhouse"])


def test_the_watermark_tells_which_candles_are_final(
    kafka: Settings, spark: SparkSession, symbols: list[str], tmp_path: Path
) -> None:
    topic = new_topic(kafka.kafka_bootstrap)
    ticks = stocks.walk(symbols[:1], 600, seed=3, start=NOON + timedelta(days=2))
    send(kafka, topic, ticks)
    options = ["--topic", topic, "--sink", "sqlite", "--once", "--lateness", "30s", "--home", str(tmp_path)]
    run_job("candles", symbols[0], *options, "--bootstrap", kafka.kafka_bootstrap, "--max-offsets", "100")
    [row] = query(sqlite(tmp_path), select(tables.progress))
    newest = datetime.fromtimestamp(max(tick.time for tick in ticks) / 1000, UTC)
    assert row["watermark"] == newest - timedelta(seconds=30)
    assert row["job"] == "candles"
    assert row["checkpoint"].startswith(f"file://{tmp_path}/checkpoints/candles-finnhub-")


def test_two_candle_jobs_each_tell_how_far_they_are(
    kafka: Settings, spark: SparkSession, symbols: list[str], tmp_path: Path
) -> None:
    """The one that is a day behind does not look finished."""
    place = ["--sink", "sqlite", "--once", "--home", str(tmp_path), "--bootstrap", kafka.kafka_bootstrap]
    for day, symbol in enumerate(symbols[:2]):
        topic = new_topic(kafka.kafka_bootstrap)
        send(kafka, topic, stocks.walk([symbol], 60, seed=day, start=NOON + timedelta(days=day)))
        run_job("candles", symbol, "--topic", topic, "--max-offsets", "20", *place)
    rows = query(sqlite(tmp_path), select(tables.progress))
    days = {row["checkpoint"]: row["watermark"].date() for row in rows if row["job"] == "candles"}
    assert len(days) == len(set(days.values())) == 2


def test_candles_of_topics_go_into_tables_apart(
    everywhere: Settings, spark: SparkSession, symbols: list[str], tmp_path: Path
) -> None:
    topic, day = new_topic(everywhere.kafka_bootstrap), NOON + timedelta(days=3)
    ticks = stocks.walk(symbols, 1200, seed=12, start=day)
    send(everywhere, topic, ticks)
    common = ["--once", "--max-offsets", "400", "--home", str(tmp_path)]
    run_job("candles", *symbols, "--topic", topic, "--sink", "kafka", "--emit", "update", *common)
    send_gap(everywhere, day, day + timedelta(seconds=90))  # later than the candles
    there = [symbol_topic(symbol) for symbol in symbols]
    run_job("candles", "--from-topics", *there, "--sink", "mysql", *common)
    url = everywhere.store_url("mysql")
    assert stored(url, symbols) == stocks.candles(ticks, "1m")
    rows = query(url, select(tables.candles).where(tables.candles.c.symbol.in_(symbols)))
    assert touched(rows, day, day + timedelta(seconds=90))
    assert {row["symbol"] for row in query(url, select(tables.symbols))} >= set(symbols)


def test_records_of_other_symbols_in_a_topic_are_left_out(
    everywhere: Settings, spark: SparkSession, symbols: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Those of another topic, and of one that would share topic and view: the stream goes on."""
    dotted, other = symbols[1], symbols[0]
    shared, minute = dotted.replace(".", "_"), timedelta(minutes=1)
    topics.create(everywhere.kafka_bootstrap, map(topics.candle_topic, map(symbol_topic, (dotted, other))), 1)
    for number, (symbol, topic) in enumerate([(dotted, None), (other, symbol_topic(dotted)), (shared, None),
                                              (dotted, None), (other, None)]):  # fmt: skip
        publish(everywhere, candle(symbol, "1m", NOON + number * minute, minute), topic)
    asked = ["--from-topics", *map(symbol_topic, (dotted, other)), "--sink", "sqlite", "--sink", "mysql"]
    run_job("candles", *asked, "--once", "--home", str(tmp_path))
    right = {(dotted, NOON), (dotted, NOON + 3 * minute), (other, NOON + 4 * minute)}
    for url in (sqlite(tmp_path), everywhere.store_url("mysql")):
        assert {(key[0], key[2]) for key in stored(url, [dotted, shared, other])} == right
        known = {row["symbol"] for row in query(url, select(tables.symbols))}
        assert {dotted, other} <= known and shared not in known
    assert json.loads((tmp_path / "run" / "candles.json").read_text())["bad_records"] == 1
    said = f"candles of {shared} are left out: {shared} would have the topic {shared}, which {dotted} has"
    assert said in capfd.readouterr().err


def test_candles_of_topics_leave_the_watermark_to_who_made_them(
    everywhere: Settings, spark: SparkSession, symbols: list[str], tmp_path: Path
) -> None:
    topic, url = new_topic(everywhere.kafka_bootstrap), sqlite(tmp_path)
    send(everywhere, topic, stocks.walk(symbols[:1], 300, seed=15))
    common = ["--sink", "sqlite", "--once", "--max-offsets", "60", "--home", str(tmp_path)]
    run_job("candles", symbols[0], "--topic", topic, "--sink", "kafka", *common)
    told = query(url, select(tables.progress))
    assert [row["watermark"] is None for row in told] == [False]
    run_job("candles", "--from-topics", symbol_topic(symbols[0]), *common)
    assert query(url, select(tables.progress)) == told


def test_a_gap_that_is_known_late_marks_what_was_written(
    everywhere: Settings, symbols: list[str], tmp_path: Path, begin: Any
) -> None:
    """Also when no trade comes any more, and in the topics, too."""
    topic, day, symbol = new_topic(everywhere.kafka_bootstrap), NOON + timedelta(days=4), symbols[0]
    ticks = stocks.walk([symbol], 900, seed=13, start=day)
    tables.create(everywhere.store_url("mysql"))
    send(everywhere, topic, ticks)
    job = begin(Job, "candles", everywhere, tmp_path, symbol, "--topic", topic, "--sink", "kafka", "--sink", "mysql",
                "--trigger", "0s")  # fmt: skip
    url, right = everywhere.store_url("mysql"), stocks.candles(ticks, "1m")
    wait(lambda: stored(url, [symbol]) == right, "all candles", job)
    assert all(row["complete"] for row in query(url, select(tables.candles).where(tables.candles.c.symbol == symbol)))
    start, end = day + timedelta(minutes=2, seconds=30), day + timedelta(minutes=4)
    send_gap(everywhere, start, end)

    def told() -> list[Any]:
        newest = {row["window_start"]: row for row in published(everywhere, symbol)}.values()
        times = [{name: datetime.fromisoformat(row[name]) for name in ("window_start", "window_end")} for row in newest]
        return [row | time for row, time in zip(newest, times, strict=True)]

    def in_store() -> list[Any]:
        return query(url, select(tables.candles).where(tables.candles.c.symbol == symbol))

    wait(lambda: touched(in_store(), start, end) and touched(told(), start, end), "marked candles", job)
    assert {row["complete"] for row in in_store()} == {True, False}
    assert stored(url, [symbol]) == right
    assert job.stop() == 0


def test_candles_are_not_marked_while_others_are_published(
    kafka: Settings, spark: SparkSession, symbols: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what was read to be marked could be published after a newer candle of the same key."""
    begun, go_on, marked = threading.Event(), threading.Event(), threading.Event()

    def slowly(batch: DataFrame, batch_id: int) -> None:
        begun.set()
        assert go_on.wait(60)

    monkeypatch.setattr(Targets, "_candles", lambda *_: slowly)
    monkeypatch.setattr(candle_targets.candle_topics, "mark_incomplete", lambda *_: marked.set())
    targets = made_for(symbols[0], "--sink", "kafka", "--bootstrap", kafka.kafka_bootstrap, "--home", str(tmp_path))(
        spark
    )
    rows = spark.createDataFrame([], "window_start TIMESTAMP, window_end TIMESTAMP")
    with ThreadPoolExecutor(2) as pool:
        written = pool.submit(targets.writer(), rows, 0)
        assert begun.wait(60)
        touched = pool.submit(targets.touch, [(NOON, NOON)])
        held = not marked.wait(1)
        go_on.set()
        written.result(60)
        touched.result(60)
    assert held and marked.is_set()


def made_for(symbol: str, *argv: str) -> Callable[[SparkSession], Targets]:
    """Return who makes the targets of the job with these options, as each start of it does."""
    [part] = JOBS["candles"].parts(None, [symbol, *argv])
    return partial(Targets, part.options, {symbol: symbol_topic(symbol)})


def test_an_emptied_topic_hides_no_candle_of_another(
    kafka: Settings, spark: SparkSession, symbols: list[str], tmp_path: Path
) -> None:
    """Its candles are whole rows, not sums of what is read."""
    minute = timedelta(minutes=1)
    for symbol in symbols[:2]:
        topics.create(kafka.kafka_bootstrap, [topics.candle_topic(symbol_topic(symbol))], 1)
        publish(kafka, candle(symbol, "1m", NOON, minute))
    truncate(kafka.kafka_bootstrap, symbol_topic(symbols[0]))
    place = ["--bootstrap", kafka.kafka_bootstrap, "--home", str(tmp_path), "--once"]
    run_job("candles", "--from-topics", *map(symbol_topic, symbols[:2]), "--sink", "sqlite", *place)
    assert [row["symbol"] for row in query(sqlite(tmp_path), select(tables.candles))] == [symbols[1]]


@pytest.mark.parametrize(("length", "name"), [(timedelta(minutes=1), "1m"), (timedelta(days=1), "1d")])
def test_a_gap_marks_a_candle_written_before_it(
    kafka: Settings, symbols: list[str], length: timedelta, name: str
) -> None:
    """A quiet symbol's candle is written once, soon after its window began; the gap comes later in the window."""
    topic, start = symbol_topic(symbols[0]), NOON.replace(hour=0)
    topics.create(kafka.kafka_bootstrap, [topics.candle_topic(topic)], 1)
    publish(kafka, candle(symbols[0], name, start, length), at=start + timedelta(seconds=11))
    lost = start + length - timedelta(seconds=12)
    assert market_topics.mark_incomplete(kafka.kafka_bootstrap, [topic], [(lost, lost)], length) == 1
    assert [row["complete"] for row in published(kafka, symbols[0])] == [True, False]


def candle(symbol: str, resolution: str, start: datetime, length: timedelta) -> dict[str, Any]:
    times = {"window_start": start.isoformat(), "window_end": (start + length).isoformat()}
    counts = {"volume": 2, "trades": 1, "updates": 1, "complete": True}
    return (
        {"symbol": symbol, "resolution": resolution}
        | times
        | dict.fromkeys(("open", "high", "low", "close"), 7)
        | counts
    )


def publish(settings: Settings, row: dict[str, Any], topic: str | None = None, at: datetime | None = None) -> None:
    """Write a candle as the job does, at a moment of our own."""
    moment = at or datetime.fromisoformat(row["window_start"])
    key = json.dumps([row["symbol"], row["resolution"], row["window_start"]]).encode()
    with producer(settings.kafka_bootstrap) as writer:
        writer.send(
            topic or symbol_topic(row["symbol"]),
            json.dumps(row).encode(),
            key,
            timestamp_ms=round(moment.timestamp() * 1000),
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["x'); DROP TABLE candles;--"], "is no symbol"),
        (["../.."], "is no symbol"),
        (["A" * 300], "64 characters at most"),
        (["aapl"], "did you mean AAPL"),
        (["🚀"], "is no symbol"),
        (["BRK.B", "BRK_B"], "would both be BRK_B"),
        ([], "name symbols"),
        (["AAPL", "--from-topics", "AAPL"], "name symbols"),
        (["--from-topics", "AAPL", "--sink", "kafka"], "--from-topics"),
        (["--from-topics", "AAPL", "--resolution", "1m", "--bad-prints", "5%"], "--resolution, --bad-prints: "),
        (["--from-topics", "AAPL", "--topic", "other", "--deduplicate"], "--topic, --deduplicate: "),
        (["AAPL", "--sink", "elasticsearch"], "elasticsearch"),
        (["AAPL", "--resolution", "7m"], "--resolution 7m"),
    ],
)
def test_wrong_symbols_and_options_are_refused_before_anything_is_made(
    everywhere: Settings, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str, tmp_path: Path
) -> None:
    monkeypatch.setenv("MILLRACE_ELASTICSEARCH_URL", "http://127.0.0.1:1")
    before = topics.existing(everywhere.kafka_bootstrap)
    with pytest.raises(ConfigError, match=message):
        run_job("candles", *options, "--once", "--home", str(tmp_path))
    assert topics.existing(everywhere.kafka_bootstrap) == before
    assert not (tmp_path / "millrace.db").exists()


def test_views_get_names_that_are_free(mysql: Settings, symbols: list[str], tmp_path: Path) -> None:
    for url in (mysql.store_url("mysql"), sqlite(tmp_path)):
        tables.create(url)
        run = symbols[2][1:]
        asked = {symbol: symbol_topic(symbol) for symbol in ("CANDLES", "POST_COUNTS", f"^{run}", f"3690.{run}")}
        views = market.register(url, asked)
        assert views == {"CANDLES": "s_candles", "POST_COUNTS": "s_post_counts", f"^{run}": f"s__{run.lower()}",
                         f"3690.{run}": f"s_3690_{run.lower()}"}  # fmt: skip
        assert market.register(url, asked) == views
        engine = database.connect(url)
        assert set(views.values()) <= set(inspect(engine).get_view_names())
        engine.dispose()
        with pytest.raises(ConfigError, match=f"3690-{run} would have the topic"):
            market.register(url, {f"3690-{run}": symbol_topic(f"3690-{run}")})


def test_a_ticker_that_is_a_word_of_sql_has_a_view(
    everywhere: Settings, mariadb: str, symbols: list[str], tmp_path: Path
) -> None:
    tickers = ("ALL", "ON", "OR", "KEY", "KEYS", "NOTHING", "TABLESAMPLE")
    asked = {ticker: ticker for ticker in tickers} | {symbols[0]: symbol_topic(symbols[0])}
    for url in (sqlite(tmp_path), everywhere.store_url("mysql"), mariadb, everywhere.store_url("postgres")):
        tables.create(url)
        views = market.register(url, asked)
        assert [views[ticker] for ticker in tickers] == [f"s_{ticker.lower()}" for ticker in tickers]
        assert views[symbols[0]] == symbol_topic(symbols[0]).lower()
        for view in views.values():
            assert query(url, text(f"SELECT * FROM {view}")) == []


def test_the_servers_reserve_no_other_words(everywhere: Settings) -> None:
    for url, words in (
        (everywhere.store_url("mysql"), "SELECT LOWER(word) AS word FROM information_schema.keywords WHERE reserved"),
        (everywhere.store_url("postgres"), "SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')"),
    ):
        assert {row["word"] for row in query(url, text(words))} <= reserved.WORDS


def test_flat_candles_fill_windows_without_trades(
    everywhere: Settings, spark: SparkSession, symbols: list[str], tmp_path: Path
) -> None:
    topic, day, symbol = new_topic(everywhere.kafka_bootstrap), NOON + timedelta(days=5), symbols[0]
    base = round(day.timestamp() * 1000)
    send(
        everywhere,
        topic,
        [Tick(symbol, Decimal(7), Decimal(2), base, 1), Tick(symbol, Decimal(9), Decimal(1), base + 240_000, 2)],
    )
    send_gap(everywhere, day + timedelta(seconds=130), day + timedelta(seconds=150))
    sinks = ["--sink", "sqlite", "--sink", "mysql", "--sink", "postgres"]
    run_job("candles", symbol, "--topic", topic, "--gaps", "flat", "--once", *sinks, "--home", str(tmp_path))
    for url in (sqlite(tmp_path), everywhere.store_url("mysql"), everywhere.store_url("postgres")):
        view = market.register(url, {symbol: symbol_topic(symbol)}, flat=True)[symbol]
        rows = query(url, text(f"SELECT * FROM {view} ORDER BY window_start"))
        found = [(int(row["open"]), int(row["close"]), int(row["volume"]), bool(row["complete"]), bool(row["flat"]))
                 for row in rows]  # fmt: skip
        assert found == [(7, 7, 2, True, False), (7, 7, 0, True, True), (7, 7, 0, False, True), (7, 7, 0, True, True),
                         (9, 9, 1, True, False)]  # fmt: skip
        starts = [as_time(row["window_start"]) for row in rows]
        assert starts == [day + timedelta(minutes=n) for n in range(5)]
        assert [as_time(row["window_end"]) for row in rows] == [day + timedelta(minutes=n + 1) for n in range(5)]


def test_a_view_changes_between_plain_and_flat(
    everywhere: Settings, mariadb: str, symbols: list[str], tmp_path: Path
) -> None:
    symbol, asked = symbols[0], {symbols[0]: symbol_topic(symbols[0])}
    for url in (sqlite(tmp_path), everywhere.store_url("mysql"), mariadb, everywhere.store_url("postgres")):
        tables.create(url)
        for flat in (False, True, True, False, False):
            view = market.register(url, asked, flat=flat)[symbol]
            engine = database.connect(url)
            with engine.connect() as connection:
                names = connection.execute(text(f"SELECT * FROM {view}")).keys()
            engine.dispose()
            assert ("flat" in names, "updates" in names) == (flat, not flat)


def test_a_view_that_is_right_is_not_made_anew(postgres: Settings, symbols: list[str]) -> None:
    url, asked = postgres.store_url("postgres"), {symbols[0]: symbol_topic(symbols[0])}
    tables.create(url)
    for flat in (False, True):
        view = market.register(url, asked, flat=flat)[symbols[0]]
        made = text(f"SELECT xmin::text FROM pg_rewrite WHERE ev_class = '{view}'::regclass")
        before = query(url, made)
        market.register(url, asked, flat=flat)
        assert query(url, made) == before


def as_time(value: str | datetime) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def test_bad_prints_and_repeated_records(
    kafka: Settings, spark: SparkSession, symbols: list[str], tmp_path: Path
) -> None:
    topic, day, symbol = new_topic(kafka.kafka_bootstrap), NOON + timedelta(days=6), symbols[0]
    base = round(day.timestamp() * 1000)
    ticks = [Tick(symbol, Decimal(100 + n % 3), Decimal(1), base + n * 1000, n) for n in range(120)]
    spike = Tick(symbol, Decimal(900), Decimal(1), base + 30_500, 999)
    send(kafka, topic, [*ticks, spike, *ticks[:40]])
    options = ["--topic", topic, "--bootstrap", kafka.kafka_bootstrap, "--sink", "sqlite", "--once", "--home",
               str(tmp_path), "--deduplicate"]  # fmt: skip
    run_job("candles", symbol, *options, "--bad-prints", "5%")
    right = stocks.candles(ticks, "1m")
    found = stored(sqlite(tmp_path), [symbol])
    assert nearly({key: row | {"updates": 0} for key, row in found.items()}) == nearly(
        {key: row | {"updates": 0} for key, row in right.items()}
    )
    assert sum(row["updates"] for row in found.values()) == 121


def test_a_run_without_repeated_records_makes_candles_right_where_it_is_told_to(
    kafka: Settings, spark: SparkSession, symbols: list[str], tmp_path: Path
) -> None:
    """Without --overwrite it finds fewer trades than are stored, and changes nothing."""
    topic, day, symbol = new_topic(kafka.kafka_bootstrap), NOON + timedelta(days=9), symbols[0]
    base = round(day.timestamp() * 1000)
    ticks = [Tick(symbol, Decimal(100), Decimal(1), base + n * 1000, n) for n in range(240)]
    send(kafka, topic, [*ticks, *ticks])
    asked = [symbol, "--topic", topic, "--bootstrap", kafka.kafka_bootstrap, "--sink", "sqlite", "--once", "--home",
             str(tmp_path)]  # fmt: skip

    def trades() -> list[int]:
        found = query(sqlite(tmp_path), select(tables.candles).order_by("window_start"))
        return [row["trades"] for row in found]

    run_job("candles", *asked)
    assert trades() == [120] * 4
    run_job("candles", *asked, "--deduplicate")
    assert trades() == [120] * 4
    since = day + timedelta(minutes=2)
    run_job("candles", *asked, "--deduplicate", "--overwrite", since.isoformat())
    assert trades() == [120, 120, 60, 60]


def test_a_volume_that_no_store_holds_is_put_aside(
    everywhere: Settings, spark: SparkSession, symbols: list[str], tmp_path: Path
) -> None:
    topic, day, symbol = new_topic(everywhere.kafka_bootstrap), NOON + timedelta(days=8), symbols[0]
    base, huge = round(day.timestamp() * 1000), Decimal(6 * 10**17)
    ticks = [Tick(symbol, Decimal(7), huge, base + n, n) for n in range(2)]
    ticks.append(Tick(symbol, Decimal(7), huge, base + 60_000, 2))
    send(everywhere, topic, ticks)
    names = ("kafka", "sqlite", "mysql", "postgres")
    sinks = [word for name in names for word in ("--sink", name)]
    run_job("candles", symbol, "--topic", topic, "--once", *sinks, "--home", str(tmp_path))
    right = {key: row for key, row in stocks.candles(ticks, "1m").items() if row["volume"] == huge}
    assert len(right) == 1
    for url in (everywhere.store_url("mysql"), everywhere.store_url("postgres")):
        assert stored(url, [symbol]) == right
    assert nearly(stored(sqlite(tmp_path), [symbol])) == nearly(right)
    assert {row["volume"] for row in published(everywhere, symbol)} == {huge, 2 * huge}


def test_gaps_are_read_on_from_call_to_call(kafka: Settings) -> None:
    day, source = NOON - timedelta(days=3), f"feed-{uuid4().hex[:6]}"
    seen = gaps.Gaps(kafka.kafka_bootstrap, source)
    assert seen.fresh() == []
    send_gap(kafka, day, day + timedelta(minutes=1), source)
    send_gap(kafka, day, day, source="another")
    assert seen.fresh() == [(day, day + timedelta(minutes=1))]
    send_gap(kafka, day + timedelta(seconds=30), day + timedelta(minutes=2), source)
    assert len(seen.fresh()) == 1
    assert seen.known == [(day, day + timedelta(minutes=2))]
    seen.close()
    assert len(seen.fresh()) == 2
