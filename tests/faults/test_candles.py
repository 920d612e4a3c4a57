"""Candles through kills and outages: the table equals exact fractions, whatever died in between."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests import stocks, trading
from tests.faults.test_outages import stopped
from tests.live.test_candles import published, send, send_gap, stored
from tests.stocks import NOON, Tick
from tests.support import Child, Job, new_topic, pid_of, wait

from millrace.config import Settings
from millrace.simulate.finnhub import running
from millrace.simulate.market import Market
from millrace.sinks.sql import database, tables

OPTIONS = ("--resolution", "1m", "--resolution", "5m", "--trigger", "0s", "--max-offsets", "500", "--sink", "kafka",
           "--sink", "mysql")  # fmt: skip


@pytest.fixture
def symbols() -> list[str]:
    run = uuid4().hex[:6].upper()
    return [f"BINANCE:{run}", f"{run}.B"]


@contextmanager
def feeding(settings: Settings, topic: str, ticks: list[Tick]) -> Iterator[None]:
    """Write the ticks, disturbed, 200 a tenth of a second; all are stored at the end."""
    disturbed = sorted(ticks, key=lambda tick: tick.time // 150_000 * 10**9 + hash((tick.sequence, 3)) % 10**9)
    parts = [disturbed[place : place + 200] for place in range(0, len(ticks), 200)]

    def work() -> None:
        for part in parts:
            send(settings, topic, part)
            threading.Event().wait(0.1)  # a feed's pace

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.mark.faults
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_the_driver_is_killed_at_random_points(
    *, seed: int, kafka: Settings, mysql: Settings, symbols: list[str], tmp_path: Path, begin: Callable[..., Any]
) -> None:
    draw, topic, day = random.Random(seed), new_topic(kafka.kafka_bootstrap), NOON + timedelta(days=20 + seed)
    ticks = stocks.walk(symbols, 6000, seed=seed, start=day)
    right, url = stocks.candles(ticks, "1m", "5m"), mysql.store_url("mysql")
    lost = day + timedelta(minutes=7), day + timedelta(minutes=8, seconds=30)
    arguments = (*symbols, "--topic", topic, *OPTIONS)
    with feeding(kafka, topic, ticks):
        for _ in range(2):
            job = begin(Job, "candles", mysql, tmp_path, *arguments)
            job.has_read(draw.randint(1, 2000))
            threading.Event().wait(draw.uniform(0, 1.5))  # before, into and after a write
            job.kill()
            send_gap(kafka, *lost)
    job = begin(Job, "candles", mysql, tmp_path, *arguments)
    wait(lambda: stored(url, symbols) == right, "right table", job, 120)
    wait(lambda: incomplete(url, symbols) == touched(right, *lost), "marked candles", job)
    assert job.stop() == 0, job.text()
    assert stored(url, symbols) == right
    for symbol in symbols:
        last = {(row["resolution"], row["window_start"]): row["trades"] for row in published(kafka, symbol)}
        assert sorted(last.values()) == sorted(row["trades"] for key, row in right.items() if key[0] == symbol)


@pytest.mark.faults
@pytest.mark.parametrize("seconds", [10, 60])
def test_mysql_is_away(
    *, seconds: int, kafka: Settings, mysql: Settings, symbols: list[str], tmp_path: Path, begin: Callable[..., Any]
) -> None:
    topic, day = new_topic(kafka.kafka_bootstrap), NOON + timedelta(days=30 + seconds)
    ticks = stocks.walk(symbols, 4000, seed=seconds, start=day)
    right, url = stocks.candles(ticks, "1m", "5m"), mysql.store_url("mysql")
    with feeding(kafka, topic, ticks):
        job = begin(Job, "candles", mysql, tmp_path, *symbols, "--topic", topic, *OPTIONS)
        job.has_read(500)
        with stopped(pid_of("mysql", mysql)):
            threading.Event().wait(seconds)  # the outage itself
            assert job.process.poll() is None
    wait(lambda: stored(url, symbols) == right, "right table", job, 120)
    assert job.stop() == 0, job.text()


def test_a_feed_that_is_cut_shared_and_killed(
    *, kafka: Settings, mysql: Settings, tmp_path: Path, begin: Callable[..., Any]
) -> None:
    """From the wire to MySQL in real time: each candle is what was written, and each complete one the whole truth."""
    symbols = list(trading.SYMBOLS)
    market = Market(trading.SYMBOLS, rate=90, shuffle=0.4, zero_volume=0.1, seed=77)
    place = ["--bootstrap", kafka.kafka_bootstrap, "--home", str(tmp_path)]
    url = mysql.store_url("mysql")
    options = ["--resolution", "1s", "--sink", "mysql", "--trigger", "0s"]
    with trading.committed_from_now(kafka) as committed, running(market) as (address, exchange):

        def adapter(*more: str) -> Child:
            arguments = ("ingest", "finnhub", *symbols, "--url", address, *place, *more)
            child: Child = begin(Child, tmp_path, *arguments, FINNHUB_TOKEN="demo")
            return child

        def follow(child: Child, trades: int) -> None:
            goal = len(committed.records()) + trades
            wait(lambda: len(committed.records()) >= goal, f"{goal} trades", child)

        job = begin(Job, "candles", mysql, tmp_path, *symbols, *options)
        child = adapter()
        follow(child, 450)
        second = adapter("--print")  # the same key: both lose their connection
        child.says("next attempt in")
        second.kill()
        follow(child, 450)
        child.kill()
        child = adapter()
        follow(child, 900)
        assert child.stop() == 0, child.text()
        _, *lines = exchange.lines()
        opened = datetime.fromtimestamp(exchange.start // 1000, UTC)
        written = [
            Tick(each.symbol, each.price, each.volume, round(each.event_time.timestamp() * 1000), each.sequence,
                 tuple(each.conditions))
            for each in committed.trades()
        ]  # fmt: skip
    happened = [
        Tick(line["symbol"], Decimal(line["price"]), Decimal(line["volume"]), line["event_time"], number,
             tuple(line["conditions"]))
        for number, line in enumerate(lines)
    ]  # fmt: skip
    right, whole = stocks.candles(written, "1s"), stocks.candles(happened, "1s")

    def found() -> dict[Any, Any]:
        return {key: row for key, row in stored(url, symbols).items() if key[1] == "1s" and key[2] >= opened}

    wait(lambda: found() == right, "right table", job)
    broken = incomplete(url, symbols) & right.keys()
    end = max(key[2] for key in right) - timedelta(seconds=5)  # what was lost when the adapter stopped is not told yet
    settled = {key for key in right.keys() - broken if key[2] < end}
    assert {key: right[key] for key in settled} == {key: whole[key] for key in settled}
    assert settled and broken
    assert job.stop() == 0, job.text()


def incomplete(url: str, symbols: list[str]) -> set[Any]:
    engine = database.connect(url)
    candles = tables.candles
    with engine.connect() as connection:
        rows = connection.execute(candles.select().where(candles.c.symbol.in_(symbols), ~candles.c.complete)).all()
    engine.dispose()
    return {(row.symbol, row.resolution, row.window_start) for row in rows}


def touched(right: dict[Any, Any], start: Any, end: Any) -> set[Any]:
    return {key for key in right if key[2] <= end and key[2] + timedelta(seconds=stocks.LENGTHS[key[1]]) > start}
