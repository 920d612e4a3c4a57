"""Stock candles: trades from Kafka into MySQL by the million, rows into MySQL, and from one trade to its candle there.

Fifty symbols, resolutions of one minute. A trade's making is when it was due; it is seen when another connection
finds its price, or a later one, as the close of its symbol's newest candle.
"""

import json
import random
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from sqlalchemy import func, select, text

from benchmarks import fill, hashtags, mill, sinks, submit
from benchmarks.fill import RKEY, TIME, Pattern
from benchmarks.report import Figure, percentile, ratio
from millrace.config import Settings
from millrace.kafka.topics import TRADES
from millrace.sinks.sql import database, tables
from millrace.stack.fetch import fetch

NAME = "candles"
ROOT = Path(__file__).parents[1]
SYMBOLS = [f"BINANCE:S{number}" for number in range(50)]
FASTEST = 100_000  # trades a second, the goal
SIZES = (2_000, 30_000)  # rows a batch
APPENDED = 30_000
RATE = 60  # trades a second of the latency's feed
WARM_UP = 60.0  # seconds
LAST = 30.0
LOOK = 0.002
CLOSES = """
SELECT symbol, close FROM candles WHERE resolution = '1m' AND symbol LIKE 'BINANCE:P%'
ORDER BY window_start DESC LIMIT 100
"""


def measure(trades: int, seconds: int) -> Iterator[Figure]:
    """Yield trades/s beside Spark's raw count, rows/s beside executemany and JDBC, and the time from trade to row."""
    with mill.servers("kafka", "mysql") as settings:
        yield from throughput(settings, trades)
        for size in SIZES:
            yield sinks.compare(settings, "mysql", size, 11, table=tables.candles, name=NAME)
        yield from appended(settings)
        yield from latency(settings, seconds)


def throughput(settings: Settings, trades: int) -> Iterator[Figure]:
    """Yield the steady trades/s of the job on two cores, and their share of Spark's raw count."""
    topic = mill.topic(settings, "trades", 3)
    fill.fill(settings.kafka_bootstrap, topic, 3, trades, 5_000, made_of=patterns())
    hashtags.warm_up(settings, topic, trades)
    raw = hashtags.run(settings, topic, "raw", trades)
    options = ["--topic", topic, "--once", "--max-offsets", str(hashtags.bite(trades)), "--sink", "mysql"]
    ours = submit.run(submit.ours("candles", *SYMBOLS, *options), settings.home / "logs" / "candles.log", {})
    share = f"{ratio(ours.steady, raw.steady):.0%} of Spark's raw count, {ours.seconds:.1f} s in all"
    goal = f">= {FASTEST:,}"
    yield Figure(NAME, "trades into candles, 50 symbols", ours.steady, "trades/s", goal, ours.steady >= FASTEST, share)
    engine = database.connect(settings.store_url("mysql"))
    with engine.connect() as connection:
        counted = connection.execute(select(func.sum(tables.candles.c.updates))).scalar_one()
    engine.dispose()
    yield Figure(NAME, "trades in the table", float(counted), "", f"{trades:,}", counted == trades)


def patterns() -> list[Pattern]:
    """Return trades of random walks, prices of two decimals and volumes of five."""
    draw, prices, made = random.Random(1), dict.fromkeys(SYMBOLS, 6_700_000), []
    for number in range(fill.PATTERNS):
        symbol = SYMBOLS[number % len(SYMBOLS)]
        prices[symbol] += draw.randint(-300, 300)
        value = trade(symbol, f"{prices[symbol] / 100:.2f}", f"{draw.randint(1, 10**6) / 10**5:.5f}", f"1{RKEY}")
        made.append(Pattern(symbol.encode(), fill.template(value)))
    return made


def trade(symbol: str, price: str, volume: str, sequence: str, moment: str = TIME) -> bytes:
    """Return a trade.v1 value."""
    times = f'"event_time":"{moment}","conditions":[],"received_at":"{moment}"'
    place = f'"connection":"5f0c7a1e","sequence":{sequence}'
    return f'{{"symbol":"{symbol}","price":{price},"volume":{volume},{times},{place}}}'.encode()


def appended(settings: Settings) -> Iterator[Figure]:
    """Yield what the sink takes for a batch that Spark holds, beside Spark's JDBC append, which knows no keys."""
    log, [driver] = settings.home / "logs" / "append.log", fetch("mysql-jdbc")
    command = submit.beside("append.py", "--rows", str(APPENDED), "--url", settings.store_url("mysql"))
    place = command.index("--properties-file")
    submit.run([*command[:place], "--jars", str(driver), *command[place:-2]], log, {"PYTHONPATH": str(ROOT)})
    found: dict[str, float] = next(json.loads(line) for line in log.read_text().splitlines() if line.startswith('{"'))
    times = ratio(found["jdbc"], found["upsert"])
    note = f"{APPENDED / found['upsert']:,.0f} rows/s upserted, {APPENDED / found['jdbc']:,.0f} rows/s appended"
    yield Figure(NAME, "upsert of 30,000 rows beside Spark's JDBC append", times, "x", note=note)


def latency(settings: Settings, seconds: int) -> Iterator[Figure]:
    """Yield p50 and p99 from a trade's making to its price in MySQL at 60 trades/s."""
    symbols = [f"BINANCE:P{number}" for number in range(10)]
    topic, log = TRADES.name, settings.home / "logs" / "candles-latency.log"
    options = ["--name", "candles-latency", "--sink", "mysql", "--trigger", "0s", "--log-format", "json"]
    engine = database.connect(settings.store_url("mysql"))
    made: dict[tuple[str, int], float] = {}
    seen: dict[tuple[str, int], float] = {}
    with (
        mill.process(mill.millrace("run", "candles", *symbols, *options), log),
        closing(_Sender(settings, topic)) as feed,
    ):
        begin = time.time() + 30 + WARM_UP
        end = begin + seconds
        reading = engine.execution_options(isolation_level="AUTOCOMMIT")
        with fill.bar("trades seen in MySQL", seconds * RATE) as progress, reading.connect() as connection:
            while time.time() < end + LAST and not (time.time() > end and len(seen) == len(made)):
                for symbol, price, moment in feed.due(symbols, until=end):
                    if moment >= begin:
                        made[symbol, price] = moment
                latest: dict[str, int] = {}
                for symbol, close in connection.execute(text(CLOSES)):
                    latest[symbol] = max(int(close), latest.get(symbol, 0))
                now = time.time()
                for key in made.keys() - seen.keys():
                    if latest.get(key[0], 0) >= key[1]:
                        seen[key] = now
                progress.update(progress.task_ids[0], completed=len(seen))
                time.sleep(LOOK)
    engine.dispose()
    late = [1000 * (seen[key] - made[key]) for key in seen]
    for share in (0.5, 0.99):
        note = f"{len(seen):,} of {len(made):,} trades seen"
        yield Figure(
            NAME, f"trade to MySQL at 60 trades/s: p{share * 100:.0f}", percentile(late, share), "ms", note=note
        )


class _Sender:
    """Sends sixty trades a second, each symbol's price one higher than before."""

    def __init__(self, settings: Settings, topic: str) -> None:
        self._producer = Producer({"bootstrap.servers": settings.kafka_bootstrap, "linger.ms": 1})
        self._topic, self._start, self._sent = topic, time.time(), 0

    def due(self, symbols: list[str], until: float) -> Iterator[tuple[str, int, float]]:
        """Send what is due by now and yield symbol, price and the moment it was due."""
        while (moment := self._start + self._sent / RATE) <= min(time.time(), until):
            symbol, price = symbols[self._sent % len(symbols)], 1 + self._sent
            at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1e6):06d}Z"
            value: Any = trade(symbol, str(price), "1", str(price), at)
            self._producer.produce(self._topic, value, symbol.encode(), timestamp=int(moment * 1000))
            self._sent += 1
            yield symbol, price, moment
        self._producer.poll(0)

    def close(self) -> None:
        """Hand over what was not sent yet."""
        self._producer.flush(10)
