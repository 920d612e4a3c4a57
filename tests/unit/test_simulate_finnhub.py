"""The double of Finnhub: what happens in its market, its wire, limits and faults, and that its truth is true."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import websocket
from websocket import WebSocketBadStatusException, WebSocketConnectionClosedException, WebSocketTimeoutException

from millrace.errors import ConfigError
from millrace.simulate import tape
from millrace.simulate.exchange import TOO_MANY, Rules
from millrace.simulate.finnhub import running
from millrace.simulate.market import BURST, SYMBOLS, Market, messages, quote, written

START = datetime(2026, 7, 4, 12, tzinfo=UTC)
MARKET = Market(("AAPL", "BINANCE:BTCUSDT"), seed=7, count=600, start=START, speed=0)


@contextmanager
def client(url: str, *symbols: str, token: str = "demo") -> Iterator[websocket.WebSocket]:
    socket = websocket.create_connection(f"{url}?token={token}", timeout=10, skip_utf8_validation=True)
    try:
        for symbol in symbols:
            socket.send(json.dumps({"type": "subscribe", "symbol": symbol}))
        yield socket
    finally:
        socket.close()
        socket.shutdown()  # after a lost connection `close` does nothing


def told(socket: websocket.WebSocket, count: int | None) -> list[dict]:
    """Return the first `count` trades, or those until the connection ends."""
    found: list[dict] = []
    while count is None or len(found) < count:
        try:
            message = json.loads(socket.recv(), parse_float=str, parse_int=str)
        except (WebSocketConnectionClosedException, ConnectionError):
            assert count is None
            break
        found += message.get("data", [])
    return found


def lines(path: Path) -> tuple[dict, list[dict]]:
    summary, *trades = map(json.loads, path.read_text().splitlines())
    return summary, trades


def same(trade: dict, line: dict) -> bool:
    one = (trade["s"], trade["p"], trade["v"], int(trade["t"]), trade.get("c") or [])
    return one == tuple(line[name] for name in ("symbol", "price", "volume", "event_time", "conditions"))


def test_everything_that_is_sent_is_in_the_truth(tmp_path: Path) -> None:
    answer = tmp_path / "truth.jsonl"
    with running(replace(MARKET, symbols=("AAPL",)), truth=answer) as (url, _), client(url, "AAPL") as socket:
        found = told(socket, 600)
    summary, trades = lines(answer)
    assert summary == {
        "kind": "summary", "trades": 600, "updates": sum(float(each["v"]) == 0 for each in found), "malformed": 0,
        "sent": 600, "unsent": 0, "drops": 0,
    }  # fmt: skip
    assert summary["updates"] > 10
    assert all(line["sent"] for line in trades)
    assert all(same(trade, line) for trade, line in zip(found, trades, strict=True))


def test_the_same_again_whoever_listens() -> None:
    whole = list(messages(MARKET))
    assert whole == list(messages(MARKET))
    assert whole != list(messages(replace(MARKET, seed=8)))
    assert [each.index for message in whole for each in message] == list(range(600))
    endless = itertools.islice(messages(replace(MARKET, count=None)), len(whole) - 1)
    assert whole[:-1] == list(endless)


def test_only_what_was_subscribed(tmp_path: Path) -> None:
    answer = tmp_path / "truth.jsonl"
    with running(MARKET, truth=answer) as (url, exchange), client(url, "AAPL") as socket:
        wanted = sum(each.symbol == "AAPL" for message in messages(MARKET) for each in message)
        found = told(socket, wanted)
        assert exchange.start == START.timestamp() * 1000
    assert {trade["s"] for trade in found} == {"AAPL"}
    summary, trades = lines(answer)
    assert (summary["sent"], summary["unsent"]) == (wanted, 600 - wanted)
    assert {line["symbol"] for line in trades if line["sent"]} == {"AAPL"}


def test_unsubscribed_and_pinged() -> None:
    market, rules = replace(MARKET, count=None, speed=1, rate=200), Rules(ping_every=0.05)
    with running(market, rules) as (url, _), client(url, *MARKET.symbols) as socket:
        told(socket, 3)
        for symbol in MARKET.symbols:
            socket.send(json.dumps({"type": "unsubscribe", "symbol": symbol}))
        pings = 0
        while pings < 3:  # in a row
            pings = pings + 1 if socket.recv() == '{"type":"ping"}' else 0


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"type":"subscribe"}', '{"type":"x","symbol":"A"}', "\x00",
                                  '{"type":"unsubscribe","symbol":[]}'])  # fmt: skip
def test_what_is_no_request(text: str) -> None:
    with running(MARKET) as (url, _), client(url) as socket:
        socket.send(text)
        assert json.loads(socket.recv()) == {"type": "error", "msg": "Invalid message"}


def test_too_many_symbols() -> None:
    with running(MARKET, Rules(max_symbols=1)) as (url, _), client(url, "X", "X", "AAPL") as socket:
        assert json.loads(socket.recv()) == {"type": "error", "msg": TOO_MANY}


def test_a_wrong_key() -> None:
    with running(MARKET, Rules(token="right")) as (url, _):
        with pytest.raises(WebSocketBadStatusException) as refused, client(url, token="wrong"):
            pass
        assert refused.value.status_code == 401
        with client(url, "AAPL", token="right") as socket:
            assert told(socket, 1)


def test_a_second_connection_ends_both() -> None:
    with running(replace(MARKET, speed=1)) as (url, exchange), client(url) as first:
        with client(url) as second:
            assert told(first, None) == told(second, None) == []
        assert exchange.drops == 2
        with client(url, "AAPL") as third:
            assert told(third, 1)


def test_what_nobody_hears_is_gone(tmp_path: Path) -> None:
    answer = tmp_path / "truth.jsonl"
    market = Market(("AAPL",), count=400, rate=200)
    found: list[dict] = []
    with running(market, Rules(drop_every=20), answer) as (url, exchange):
        for _ in range(2):
            with client(url, "AAPL") as socket:
                found += told(socket, None)
            with pytest.raises(WebSocketTimeoutException), client(url) as silent:  # trades go by
                silent.settimeout(0.3)
                silent.recv()
    summary, trades = lines(answer)
    assert summary["drops"] == exchange.drops == 2
    assert summary["sent"] == len(found) == sum(line["sent"] for line in trades)
    assert summary["unsent"] == 400 - len(found) > 100
    heard = [line for line in trades if line["sent"]]
    assert all(same(trade, line) for trade, line in zip(found, heard, strict=True))
    gone = [index for index, line in enumerate(trades) if not line["sent"]]
    assert 20 < min(gone) < max(index for index, line in enumerate(trades) if line["sent"])


def test_silence_after_a_number_of_messages() -> None:
    with running(replace(MARKET, count=None, speed=1, rate=200), Rules(silent_after=3, ping_every=0.1)) as (url, _):
        with client(url, *MARKET.symbols) as socket:
            for _ in range(3):
                socket.recv()
            socket.settimeout(0.4)
            with pytest.raises(WebSocketTimeoutException):
                socket.recv()
        with client(url, *MARKET.symbols) as socket:
            assert told(socket, 50)


def test_messages_hold_several_trades_whose_times_step_back() -> None:
    whole = list(messages(replace(MARKET, shuffle=0.5)))
    assert {len(message) for message in whole} == {1, 2, 3, 4, 5}
    assert any(len({each.symbol for each in message}) == 2 for message in whole)
    steps = [b.time - a.time for message in whole for a, b in itertools.pairwise(message)]
    assert min(steps) < -100 and min(steps) >= -500
    assert any(step == 0 for step in steps)


def test_equal_trades_are_told_twice() -> None:
    pairs = [pair for message in messages(MARKET) for pair in itertools.pairwise(message)]
    assert any(replace(a, index=0) == replace(b, index=0) for a, b in pairs)


def test_bursts_updates_and_conditions() -> None:
    whole = list(messages(replace(MARKET, count=3000, bursts=0.05, zero_volume=0.2, conditions=0.3)))
    assert max(map(len, whole)) == BURST
    trades = [each for message in whole for each in message]
    assert 0.15 < sum(float(each.volume) == 0 for each in trades) / 3000 < 0.25
    assert 0.25 < sum(bool(each.conditions) for each in trades) / 3000 < 0.35
    ways = Counter((each.conditions, each.told) for each in trades if not each.conditions)
    assert set(ways) == {((), True), (None, True), (None, False)}


def test_prices_walk_in_ticks_from_where_the_symbol_begins() -> None:
    trades = [each for message in messages(replace(MARKET, count=2000, symbols=SYMBOLS)) for each in message]
    for symbol in SYMBOLS:
        at = quote(symbol)
        prices = [each.price for each in trades if each.symbol == symbol]
        assert all(len(price.partition(".")[2]) == at.places for price in prices)
        assert abs(int(prices[0].replace(".", "")) - at.ticks) <= 3
        assert len(set(prices)) > 10
    assert quote("ANY:OTHER") == quote("ANY:OTHER") != quote("ONE:MORE")
    assert [written(5, 2), written(1_00, 2), written(7, 0)] == ["0.05", "1.00", "7"]


def test_what_is_broken_cannot_be_read_and_is_counted(tmp_path: Path) -> None:
    answer = tmp_path / "truth.jsonl"
    market = replace(MARKET, symbols=("AAPL",), malformed=0.2, count=2000)
    ways = {(each.lone, (each.broken or 0) % len(tape.WHOLE if each.lone else tape.WITHIN))
            for message in messages(market) for each in message if each.broken is not None}  # fmt: skip
    assert len(ways) == len(tape.WHOLE) + len(tape.WITHIN)
    with running(market, truth=answer) as (url, _), client(url, "AAPL") as socket:
        frames = len(list(messages(market)))
        received = [socket.recv_data()[1] for _ in range(frames)]
    summary, trades = lines(answer)
    assert summary["malformed"] == sum(each.broken is not None for message in messages(market) for each in message)
    assert summary["trades"] == len(trades) == 2000 - summary["malformed"]
    assert b"" in received and b"null" in received and any(b"DROP TABLE" in frame for frame in received)


def test_a_market_of_now_and_one_that_ran_ahead() -> None:
    now = 1_783_175_900_000
    assert Market().opened(now) == now
    assert Market(count=100, rate=10, speed=0).opened(now) == now - 10_000
    assert Market(start=START).opened(now) == Market(start=START.replace(tzinfo=None)).opened(now) == 1_783_166_400_000


def test_wrong_values_are_all_named() -> None:
    with pytest.raises(ConfigError) as wrong:
        Market(("aapl",), rate=0, speed=0, malformed=2, zero_volume=-1)
    for part in ("'aapl' is no symbol", "--rate", "--malformed", "--zero-volume", "--speed above 1 (or 0) needs"):
        assert part in str(wrong.value)
