from datetime import UTC, timedelta
from decimal import Decimal

import pytest
from pyspark.sql import functions as F
from tests import stocks
from tests.spark.conftest import RECORDS
from tests.stocks import NOON, Tick

from millrace.errors import ConfigError
from millrace.kafka import market, parse
from millrace.queries import candle_parts, candles
from millrace.queries.candles import resolution

SYMBOLS = ("BINANCE:BTCUSDT", "AAPL", "^GSPC")
RESOLUTIONS = ("10s", "1m", "5m")


def values(rows):
    found = [row.asDict() if not isinstance(row, dict) else row for row in rows]
    keys = [(row["symbol"], row["resolution"], row["window_start"].astimezone(UTC)) for row in found]
    assert len(set(keys)) == len(keys)
    return {
        key: {name: value for name, value in row.items() if name not in candles.KEY}
        for key, row in zip(keys, found, strict=True)
    }


def records(spark, ticks):
    return spark.createDataFrame([tick.record() for tick in ticks], RECORDS)


def folded(rows, symbols=SYMBOLS, resolutions=RESOLUTIONS, lateness="10 minutes"):
    return candles.candles(parse.folded(rows, candle_parts.fold(symbols, resolutions)), resolutions, lateness)


def test_every_candle_is_right_in_several_resolutions(spark):
    ticks = stocks.walk(SYMBOLS, 3000, seed=3)
    found = folded(records(spark, stocks.shuffled(ticks, 1)))
    assert tuple(found.columns) == candles.COLUMNS
    assert values(found.collect()) == stocks.candles(ticks, *RESOLUTIONS)


def test_the_same_in_spark_sql(spark):
    ticks = stocks.walk(SYMBOLS, 800, seed=4)
    parts = candle_parts.parts(market.trades(records(spark, ticks)), SYMBOLS)
    assert parts.columns == candle_parts.PARTS.names
    assert values(candles.candles(parts, RESOLUTIONS).collect()) == stocks.candles(ticks, *RESOLUTIONS)


def test_products_that_no_decimal_of_spark_holds(spark):
    price, volume = Decimal("99999999999999.9999999999"), Decimal("98765432109876.0123456789")
    ticks = [
        Tick("A", price, volume, 0, 1),
        Tick("A", Decimal("0.0000000001"), volume * 2, 1, 2),
        Tick("A", Decimal(1), volume, 2, 3),
    ]
    for parts in (
        parse.folded(records(spark, ticks), candle_parts.fold(["A"])),
        candle_parts.parts(market.trades(records(spark, ticks)), ["A"]),
    ):
        [row] = candles.candles(parts).collect()
        assert (row.vwap, row.volume) == (stocks.average(ticks), volume * 4)


@pytest.mark.parametrize("price", ["0", "-0.01", "0.00000000004"])
def test_a_price_that_is_none_makes_no_candle(spark, price):
    ticks = [Tick("A", Decimal(7), Decimal(2), 0, 1), Tick("A", Decimal(8), Decimal(3), 5, 2)]
    rows = records(spark, [*ticks, Tick("A", Decimal(price), Decimal(9), 3, 3)])
    zero = F.when(F.col("sequence") == 2, F.lit(0)).otherwise(F.col("price")).cast("decimal(24,10)")
    trades = market.trades(rows)
    made = (
        folded(rows, ["A"], ("1m",)),
        candles.candles(candle_parts.parts(trades, ["A"])),
        candles.guarded(candles.prints(trades, ["A"]), Decimal("0.5")),
    )
    for found in made:
        assert values(found.collect()) == stocks.candles(ticks, "1m")
    [row] = candles.candles(candle_parts.parts(trades.withColumn("price", zero), ["A"])).collect()
    assert (row.low, row.updates) == (7, 1)  # rows that no parser judged


def test_volumes_whose_sum_no_store_holds(spark):
    volume = Decimal(6 * 10**17)
    ticks = [Tick("A", Decimal(7), volume, 0, 1), Tick("A", Decimal(8), volume, 1, 2)]
    rows = records(spark, ticks)
    prints = candles.prints(market.trades(rows), ["A"])
    for made in (folded(rows, ["A"], ("1m",)), candles.guarded(prints, Decimal("0.5"))):
        assert values(made.collect()) == stocks.candles(ticks, "1m")


def test_a_stream_gives_the_same_and_only_named_symbols(spark, streamed):
    ticks = stocks.walk((*SYMBOLS, "UNNAMED"), 2000, seed=5)
    order = sorted(ticks, key=lambda tick: (tick.time // 120_000, hash((tick.sequence, 7))))  # late by minutes
    table = {}
    streamed([tick.record() for tick in order], folded, lambda batch: table.update(values(batch.collect())))
    named = [tick for tick in ticks if tick.symbol != "UNNAMED"]
    assert table == stocks.candles(named, *RESOLUTIONS)
    assert {key[:1] for key in table} == {(symbol,) for symbol in SYMBOLS}


def test_final_candles_come_once_when_their_window_has_closed(spark, streamed):
    ticks = stocks.walk(("AAPL",), 2000, seed=6)
    seen = []
    streamed([tick.record() for tick in ticks], lambda rows: folded(rows, ("AAPL",), RESOLUTIONS, "5 seconds"),
             lambda batch: seen.extend(batch.collect()), mode="append")  # fmt: skip
    right, found = stocks.candles(ticks, *RESOLUTIONS), values(seen)
    end = max(tick.time for tick in ticks) - 5000
    closed = {key for key in right if key[2].timestamp() + stocks.LENGTHS[key[1]] <= end / 1000}
    assert found == {key: right[key] for key in closed}
    assert {key[1] for key in closed} == set(RESOLUTIONS)


def test_sums_of_minutes_are_five_minutes(spark):
    found = values(folded(records(spark, stocks.walk(SYMBOLS, 2000, seed=8))).collect())
    sums = {}
    for (symbol, name, start), row in found.items():
        if name == "1m":
            whole = start - timedelta(minutes=start.minute % 5)
            sums[symbol, "5m", whole] = sums.get((symbol, "5m", whole), Decimal(0)) + row["volume"]
    assert sums == {key: row["volume"] for key, row in found.items() if key[1] == "5m"}


def test_bad_prints_are_left_out_if_asked(spark, streamed):
    ticks = [Tick("A", Decimal(100 + n % 3), Decimal(1), n * 1000, n) for n in range(120)]
    spikes = [Tick("A", Decimal(9000), Decimal(5), n * 30_000 + 7, 1000 + n) for n in range(4)]
    right = stocks.candles(ticks, "1m")
    table = {}

    def guarded(rows):
        prints = candles.prints(market.trades(rows), ["A"])
        return candles.guarded(prints, Decimal("0.05"))

    streamed([tick.record() for tick in stocks.shuffled(ticks + spikes, 2)], guarded,
             lambda batch: table.update(values(batch.collect())))  # fmt: skip
    spiked = {key: row | {"updates": row["updates"] + 2} for key, row in right.items()}
    assert table == spiked


@pytest.mark.parametrize(("text", "stored"), [("1m", "1m"), ("60s", "1m"), ("5 minutes", "5m"), ("24h", "1d"),
                                               ("90s", "90s"), ("1h", "1h")])  # fmt: skip
def test_a_resolution_is_stored_in_one_spelling(text, stored):
    assert resolution(text) == stored


@pytest.mark.parametrize("text", ["7m", "0s", "0.5s", "2d", "soon", "-1m", "1.5s"])
def test_a_resolution_that_does_not_divide_a_day_is_refused(text):
    with pytest.raises(ConfigError, match="--resolution"):
        resolution(text)


def test_the_moment_of_a_window_is_its_start(spark):
    [row] = folded(records(spark, [Tick("AAPL", Decimal(1), Decimal(1), round(NOON.timestamp() * 1000) + 59_999, 1)]),
                   resolutions=("1m",)).collect()  # fmt: skip
    assert row.window_start.astimezone(UTC) == NOON
    assert row.window_end - row.window_start == timedelta(minutes=1)
