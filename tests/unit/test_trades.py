import json
from decimal import Decimal

import pytest

from millrace.errors import BadRecord
from millrace.kafka import candles
from millrace.kafka.trades import decode, encode

GOOD = {
    "symbol": "BINANCE:BTCUSDT",
    "price": 67012.35,
    "volume": 0.00012,
    "event_time": "2026-07-04T14:38:08.172000Z",
    "conditions": ["1", "12"],
    "received_at": "2026-07-04T14:38:08.200001Z",
    "connection": "c1",
    "sequence": 7,
}


def altered(**fields):
    return json.dumps(GOOD | fields).encode()


def raw(name, text):
    return altered(**{name: "HERE"}).replace(b'"HERE"', text)


def test_decimals_are_exact_and_survive_the_way_back():
    trade = decode(raw("price", b"50000.1234567891"))
    assert trade.price == Decimal("50000.1234567891")
    assert b'"price":50000.1234567891,' in encode(trade)
    assert decode(encode(trade)) == trade


@pytest.mark.parametrize("symbol", ["IC MARKETS:1", "HUOBI:btcusdt", "FXCM:EUR/USD", "M&M.NS", "BINANCE:币安人生USDT"])
def test_symbols_are_as_the_feed_lists_them(symbol):
    trade = decode(altered(symbol=symbol))
    assert decode(encode(trade)).symbol == symbol


def test_times_have_microseconds_also_on_the_second():
    trade = decode(altered(event_time="2026-07-04T16:38:08+02:00", received_at=None))
    assert b'"event_time":"2026-07-04T14:38:08.000000Z"' in encode(trade)
    assert b'"received_at":null' in encode(trade)


@pytest.mark.parametrize(("text", "price"), [(b"0.00000000005", "0.0000000001"), (b"0.30000000000000004", "0.3")])
def test_more_than_ten_places_are_rounded_half_up(text, price):
    assert decode(raw("price", text)).price == Decimal(price)


def test_conditions_may_be_missing():
    assert decode(json.dumps({key: GOOD[key] for key in GOOD if key != "conditions"}).encode()).conditions == []


BAD = {
    "null": None,
    "empty": b"",
    "literal null": b"null",
    "array": b"[]",
    "broken": altered()[:-5],
    "two documents": altered() + b" null",
    "missing symbol": json.dumps({key: GOOD[key] for key in GOOD if key != "symbol"}).encode(),
    "hostile symbol": altered(symbol="x'); DROP TABLE candles;--"),
    "no price": altered(price=None),
    "price is a word": altered(price="much"),
    "price is NaN": altered(price="NaN"),
    "price is infinite": altered(price="Infinity"),
    "1e400": raw("price", b"1e400"),
    "price beyond the column": altered(price=10**14),
    "volume beyond the column": altered(volume=10**18),
    "price of 0": altered(price=0),
    "price of -0.0": raw("price", b"-0.0"),
    "price that rounds to 0": raw("price", b"0.00000000004"),
    "negative price": altered(price=-37.63),
    "negative volume": altered(volume=-1),
    "time without zone": altered(event_time="2026-07-04T14:38:08"),
    "conditions of a wrong type": altered(conditions=[1]),
    "negative sequence": altered(sequence=-1),
    "no connection": altered(connection=None),
    "invalid UTF-8": altered(connection="Z").replace(b'"Z"', b'"\xff"'),
    "U+0000": altered(connection="a\x00"),
}


@pytest.mark.parametrize("value", BAD.values(), ids=BAD.keys())
def test_a_bad_record(value):
    with pytest.raises(BadRecord):
        decode(value)


CANDLE = {"symbol": "AAPL", "resolution": "1m", "window_start": GOOD["event_time"], "window_end": GOOD["event_time"],
          "open": 1, "high": 1, "low": 1, "close": 1, "volume": 0, "trades": 0, "complete": True}  # fmt: skip


@pytest.mark.parametrize("name", ["open", "high", "low", "close", "vwap"])
def test_a_candle_has_prices_above_0(name):
    assert candles.decode(json.dumps(CANDLE | {name: 1e-10}).encode())
    for wrong in (0, -1, 1e-11):
        with pytest.raises(BadRecord, match="above 0"):
            candles.decode(json.dumps(CANDLE | {name: wrong}).encode())
