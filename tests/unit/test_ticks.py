"""Finnhub's messages as trade.v1: exact decimals, one record a trade, and what is none."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.errors import BadRecord
from millrace.ingest.events import AHEAD, SECOND, DeadLetter, Event
from millrace.ingest.finnhub.ticks import Sequence, Ticks, read
from millrace.ingest.values import LARGEST_VALUE
from millrace.kafka.trades import decode

NOW = 1_783_175_900 * SECOND + 123_456
MS = NOW // 1000 - 250
SYMBOLS = ["BINANCE:BTCUSDT", "AAPL"]
TRADE = {"c": ["1", "24"], "p": 146.76, "s": "AAPL", "t": MS, "v": 43}


def ticks(sequence: Sequence | None = None) -> Ticks:
    return Ticks(SYMBOLS, "c1", sequence or Sequence())


def item(**fields: object) -> Event | DeadLetter:
    return ticks().item(json.dumps(TRADE | fields).encode(), NOW)


def test_a_trade() -> None:
    event = item()
    assert isinstance(event, Event)
    assert (event.topic, event.key, event.event_time, event.seen) == ("finnhub-trades", b"AAPL", MS * 1000, MS * 1000)
    assert (event.event_id, event.position) == (f"c1/{NOW}", NOW)
    trade = decode(event.value)
    assert (trade.symbol, trade.conditions, trade.connection, trade.sequence) == ("AAPL", ["1", "24"], "c1", NOW)
    assert trade.event_time == datetime.fromtimestamp(MS / 1000, UTC)
    assert trade.received_at == datetime(2026, 7, 4, 14, 38, 20, 123_456, UTC)


@given(st.decimals("0.000000001", 10**13, allow_nan=False, places=9), st.decimals(0, 10**17, allow_nan=False, places=6))
def test_decimals_are_those_of_the_frame(price: Decimal, volume: Decimal) -> None:
    raw = json.dumps(TRADE | {"v": "V"}).replace("146.76", f"{price}").replace('"V"', f"{volume}").encode()
    event = ticks().item(raw, NOW)
    assert isinstance(event, Event)
    trade = decode(event.value)
    assert (trade.price, trade.volume) == (price, volume)


def test_digits_are_written_as_they_stood() -> None:
    event = ticks().item(json.dumps(TRADE).replace("146.76", "67012.3500000000000001").encode(), NOW)
    assert b'"price":67012.3500000000000001,' in event.value


@pytest.mark.parametrize("change", [{"c": None}, {"c": []}, {}])
def test_no_conditions(change: dict) -> None:
    raw = {key: value for key, value in (TRADE | change).items() if change or key != "c"}
    event = ticks().item(json.dumps(raw).encode(), NOW)
    assert decode(event.value).conditions == []


def test_an_update_without_volume_is_a_record() -> None:
    assert decode(item(v=0).value).volume == 0


def test_a_time_ahead_is_clamped_and_proves_nothing() -> None:
    event = item(t=MS + 10**9)
    assert event.event_time == (NOW + AHEAD) // 1000 * 1000
    assert event.seen == NOW


BAD = {
    "another symbol": {"s": "MSFT"},
    "hostile symbol": {"s": "x'); DROP TABLE t;--"},
    "no symbol": {"s": None},
    "no price": {"p": None},
    "price of words": {"p": "much"},
    "not a number": {"p": "NaN"},
    "infinite": {"p": "Infinity"},
    "price beyond the column": {"p": 1e14},
    "price of 0": {"p": 0},
    "price of 0 as a text": {"p": "0"},
    "price that rounds to 0": {"p": 4e-11},
    "negative price": {"p": -37.63},
    "negative volume": {"v": -1},
    "seconds for milliseconds": {"t": MS // 1000},
    "time of words": {"t": "soon"},
    "time with a fraction": {"t": MS + 0.5},
}


@pytest.mark.parametrize("fields", BAD.values(), ids=BAD.keys())
def test_no_trade(fields: dict) -> None:
    letter = item(**fields)
    assert isinstance(letter, DeadLetter)
    assert letter.reason
    assert json.loads(letter.head) == json.loads(json.dumps(TRADE | fields))


@pytest.mark.parametrize("text", ["1e400", "1e99999999999999999999", "-1e400", "1" * 5000])
def test_numbers_that_are_too_much(text: str) -> None:
    for name in ("146.76", "43"):
        assert isinstance(ticks().item(json.dumps(TRADE).replace(name, text).encode(), NOW), DeadLetter)


def test_invalid_utf8() -> None:
    raw = json.dumps(TRADE | {"c": ["XX"]}).encode().replace(b"XX", b"\xff\xfe")
    assert isinstance(ticks().item(raw, NOW), DeadLetter)
    with pytest.raises(BadRecord):
        read(b'{"type":"\xff"}')


def test_a_trade_that_kafka_would_refuse() -> None:
    letter = item(c=["x" * LARGEST_VALUE])
    assert "is larger than" in letter.reason


@pytest.mark.parametrize(
    "frame",
    [b"", b"null", b"42", b"{}", b"[]", b"\xff", b'{"type":"trade"}', b'{"type":"trade","data":null}', b'{"type":3}',
     b'{"type":"trade","data":{}}', b'{"type":"trade","data":[NaN]}', b'{"type":"trade","data":[1', b"[" * 10**5,
     b'{"type":"trade","data":' + b"[" * 10_000 + b"]" * 10_000 + b"}"],
    ids=lambda frame: str(frame[:20]),
)  # fmt: skip
def test_no_message(frame: bytes) -> None:
    with pytest.raises(BadRecord):
        read(frame)


@given(st.binary(max_size=60))
def test_whatever_comes_is_a_message_or_bad(frame: bytes) -> None:
    try:
        read(frame)
    except BadRecord as error:
        assert str(error)
    assert isinstance(ticks().item(frame, NOW), DeadLetter)


def test_a_message() -> None:
    message = read(json.dumps({"type": "trade", "data": [TRADE, {"p": []}, TRADE], "more": 1}).encode())
    items = [ticks().item(bytes(raw), NOW) for raw in message.data or ()]
    assert [type(each) for each in items] == [Event, DeadLetter, Event]
    assert read(b'{"type":"ping"}').data is None
    assert read(b'{"type":"error","msg":"no"}').msg == "no"


def test_equal_trades_are_two() -> None:
    source = ticks()
    raw = json.dumps(TRADE).encode()
    first, second = source.item(raw, NOW), source.item(raw, NOW)
    assert first.event_id != second.event_id
    assert decode(first.value).sequence < decode(second.value).sequence


@given(st.lists(st.integers(0, 2 * 10**15), min_size=1))
def test_the_sequence_grows_whatever_the_clock_does(times: list[int]) -> None:
    sequence = Sequence()
    numbers = [sequence.after(time) for time in times]
    assert numbers == sorted(set(numbers))
    assert all(number >= time for number, time in zip(numbers, times, strict=True))
