"""The arithmetic of candles: any order, any batching, against fractions."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from millrace.queries.conditions import CONDITIONS, rule
from millrace.queries.ohlc import Part, finished, joined, limbs, order, part_of, units, vwap, without_bad_prints
from tests import stocks
from tests.stocks import Tick

DECIMALS = st.decimals("0.0000000001", "99999", places=10)
TICKS = st.lists(
    st.builds(
        Tick,
        symbol=st.just("A"),
        price=st.decimals("0.0000000001", "99999", places=10),
        volume=st.one_of(st.just(Decimal(0)), DECIMALS),
        time=st.integers(0, 59_999),
        sequence=st.integers(0, 10**9),
        conditions=st.sampled_from(stocks.CODES),
    ),
    min_size=1,
    max_size=30,
    unique_by=lambda tick: tick.sequence,
)


def prints(ticks):
    return [(t.time, t.sequence, units(t.price), units(t.volume), rule(t.conditions)) for t in ticks]


def made(ticks):
    return candle(part_of(prints(ticks)))


def candle(part):
    row = {"open": price(part.open[-1]), "close": price(part.close[-1])}
    for name in ("high", "low", "other_high", "other_low"):
        row[name] = None if getattr(part, name) is None else price(getattr(part, name))
    row |= {f"priced_{n}": each for n, each in enumerate(limbs(part.priced))}
    row |= {f"other_{n}": each for n, each in enumerate(limbs(part.other))}
    row |= {"volume": price(part.volume), "priced_volume": price(part.priced_volume)}
    return finished(row | {"trades": part.trades, "updates": part.updates})


def price(units_):
    return Decimal(units_) / 10**10


@given(TICKS, st.integers(0, 100))
def test_any_order_gives_the_right_candle(ticks, seed):
    assert made(stocks.shuffled(ticks, seed)) == stocks.candle(ticks)


@given(TICKS)
def test_prices_lie_between_low_and_high(ticks):
    found = made(ticks)
    inner = [found["open"], found["close"], found["low"] if found["vwap"] is None else found["vwap"]]
    assert all(found["low"] <= price <= found["high"] for price in inner)


@given(TICKS)
def test_volumes_and_trades_of_minutes_add_up_to_those_of_five(ticks):
    spread = [replace(tick, time=tick.time * 5) for tick in ticks]
    minutes = [[tick for tick in spread if tick.time // 60_000 == minute] for minute in range(5)]
    parts, whole = [made(minute) for minute in minutes if minute], made(spread)
    for name in ("volume", "trades", "updates"):
        assert sum(part[name] for part in parts) == whole[name]


@given(st.integers(-(10**40), 10**40))
def test_limbs_add_up(value):
    assert joined(limbs(value)) == value


def test_vwap_is_rounded_half_up_and_null_without_volume():
    def average(value, weight):
        return vwap(priced=value, priced_volume=weight, other=0, volume=weight)

    assert average(1, 2) == Decimal("0.0000000001")
    assert average(-1, 2) == Decimal("-0.0000000001")
    assert average(1, 3) == 0
    assert average(0, 0) is None


def test_an_update_without_volume_moves_close_high_and_low_alone():
    ticks = [Tick("A", Decimal(10), Decimal(2), 0, 1), Tick("A", Decimal(12), Decimal(0), 1, 2)]
    assert made(ticks) == {
        "open": 10, "high": 12, "low": 10, "close": 12, "volume": 2, "vwap": 10, "trades": 1, "updates": 2,
    }  # fmt: skip
    assert made(ticks[::-1]) == made(ticks)


def test_what_a_condition_changes_is_monotone():
    assert all(its.high_low or not its.open_close for _, its in CONDITIONS.values())
    assert rule(("1", "30", "12")) == (False, False, True)
    assert rule(("never seen",)) == rule(())


def test_bad_prints_are_left_out_by_the_median():
    ticks = [Tick("A", Decimal(price), Decimal(1), n, n) for n, price in enumerate((100, 101, 5000, 99, 1))]
    kept = list(without_bad_prints(prints(ticks), Decimal("0.05")))
    assert [price // 10**10 for _, _, price, _, _ in kept] == [100, 101, 99]
    assert part_of([]) is None


def test_parts_can_be_added_to():
    part = Part(*prints([Tick("A", Decimal(5), Decimal(1), 9, 9)])[0])
    part.add(*prints([Tick("A", Decimal(4), Decimal(3), 1, 1)])[0])
    assert (part.open[3], part.close[3], part.newest, part.trades) == (units(Decimal(4)), units(Decimal(5)), 9, 2)


def test_an_order_sorts_as_its_parts():
    moments = [(0, 5, 1), (0, 5, 2), (0, 6, 0), (1, 0, 0), (2, 10**17, 2**63 - 1), (3, 0, 0)]
    orders = [order(*moment) for moment in moments]
    assert orders == sorted(orders) and len(set(orders)) == len(orders)
    assert max(orders) < 10**38


def test_an_update_without_volume_moves_neither_open_nor_vwap_of_odd_lots():
    odd = [Tick("A", Decimal(price), Decimal(1), time, time, ("12",)) for time, price in ((1, 10), (3, 12))]
    update = Tick("A", Decimal(50), Decimal(0), 2, 2)
    before, after = made(odd), made([*odd, update])
    assert (after["open"], after["vwap"], after["volume"]) == (before["open"], before["vwap"], before["volume"])
    assert (after["open"], after["vwap"], after["close"], after["high"], after["low"]) == (10, 11, 50, 50, 10)
    alone = made([update])
    assert (alone["open"], alone["vwap"]) == (50, None)
