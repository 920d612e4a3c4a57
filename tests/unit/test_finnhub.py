"""The Finnhub adapter against its double, over a real socket: what is lost is in a gap, and limits are explained."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import pytest
from pydantic import SecretStr
from websockets.sync.server import ServerConnection

from millrace.errors import ConfigError
from millrace.ingest.events import SECOND, Cursor, DeadLetter, Event, Gap
from millrace.ingest.finnhub import feed as finnhub
from millrace.ingest.run import Loop, Options
from millrace.ingest.values import cursor_value, read_cursor
from millrace.kafka.trades import Trade, decode
from millrace.simulate.exchange import Exchange, Rules
from millrace.simulate.finnhub import running
from millrace.simulate.market import Market
from tests import trading
from tests.support import wait
from tests.trading import SYMBOLS, Key, keys, right
from tests.unit.test_frames import serving

SECRET = "hush&hush=1"  # what a URL must quote


class Sink:
    """Keeps what it is given, commit by commit, also from one run to the next."""

    def __init__(self) -> None:
        self.items: list[Event | DeadLetter | Gap] = []
        self.committed: Cursor | None = None

    def open(self, cursor: Cursor | None = None) -> Cursor | None:
        return cursor or self.committed

    def recent(self, limit: int) -> list[str]:
        return []

    def write(self, items: Sequence[Event | DeadLetter | Gap], cursor: Cursor) -> None:
        self.items += items
        self.committed = read_cursor(cursor_value(cursor))

    def close(self) -> None:
        pass

    def trades(self) -> list[Trade]:
        return [decode(item.value) for item in list(self.items) if isinstance(item, Event)]

    def gaps(self) -> list[Gap]:
        return [item for item in list(self.items) if isinstance(item, Gap)]

    def letters(self) -> list[DeadLetter]:
        return [item for item in list(self.items) if isinstance(item, DeadLetter)]


@dataclass
class Run:
    """One run of the loop in a thread of its own."""

    url: str
    sink: Sink = field(default_factory=Sink)
    symbols: Sequence[str] = SYMBOLS
    token: str = "demo"
    watchdog: float = 60.0

    def __post_init__(self) -> None:
        self.lines: list[str] = []
        self.stop = threading.Event()
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        made = finnhub.feed(self.url, self.symbols, SecretStr(self.token), say=self.lines.append)
        loop = Loop(made, self.sink, Options(watchdog=self.watchdog), stop=self.stop, say=self.lines.append)
        try:
            self.counts = loop.run()
        except ConfigError as error:
            self.error = error

    def until(self, condition: Callable[[], object], deadline: float = 20) -> None:
        end = time.monotonic() + deadline
        while not condition():
            assert time.monotonic() < end and self.thread.is_alive(), (self.lines[-20:], self.error)
            time.sleep(0.02)

    def says(self, words: str) -> None:
        self.until(lambda: any(words in line for line in self.lines))

    def end(self) -> None:
        self.stop.set()
        self.thread.join(15)
        assert not self.thread.is_alive()


@pytest.fixture
def start() -> Iterator[Callable[..., Run]]:
    """Start runs that do not outlive the test; none shows its token."""
    started: list[Run] = []

    def begin(url: str, **options: object) -> Run:
        started.append(Run(url, **options))
        return started[-1]

    yield begin
    for each in started:
        each.end()
        assert SECRET not in repr((each.lines, each.error, each.sink.items, each.sink.committed))
        assert "hush" not in repr((each.lines, each.error))


def written(sink: Sink) -> Counter[Key]:
    return keys(sink.trades())


def uncovered(exchange: Exchange, sink: Sink) -> list[Key]:
    return trading.uncovered(exchange, written(sink), [(gap.start, gap.end) for gap in sink.gaps()])


def test_every_trade_once_with_what_is_bad_aside(start, tmp_path) -> None:
    market, told = Market(SYMBOLS, count=3000, speed=0, malformed=0.05, bursts=0.02, zero_volume=0.1), tmp_path / "t"
    with running(market, truth=told) as (url, exchange):
        run = start(url)
        run.until(told.exists)
        summary, sent, _ = right(exchange)
        run.until(lambda: len(run.sink.trades()) >= summary["sent"] > 1500)  # not all are subscribed when it begins
        run.end()
    assert written(run.sink) == sent
    assert len(run.sink.letters()) == summary["malformed"] > 100
    assert any(count > 1 for count in sent.values())  # equal trades
    sequences = [trade.sequence for trade in run.sink.trades()]
    assert sequences == sorted(set(sequences))
    assert [gap.reason for gap in run.sink.gaps()] == ["subscribed"]
    assert isinstance(run.sink.items[0], Gap)


def test_only_the_bad_trade_of_a_message_is_lost(start) -> None:
    now = time.time_ns() // 1_000_000
    good = {"s": "AAPL", "p": 1.5, "t": now, "v": 1}
    message = json.dumps({"type": "trade", "data": [good, good | {"p": None}, good | {"s": "MSFT"}, good]})

    def handle(connection: ServerConnection) -> None:
        connection.send(message)
        connection.send("nonsense")
        connection.send('{"type":"dividend"}')
        connection.send(message)
        for _ in connection:
            pass

    with serving(handle) as url:
        run = start(url)
        run.until(lambda: len(run.sink.trades()) == 4)
    reasons = " ".join(letter.reason for letter in run.sink.letters())
    assert len(run.sink.letters()) == 6
    for part in ("$.p", "'MSFT' was not subscribed", "malformed", "type 'dividend' is not known"):
        assert part in reasons


def test_what_lost_connections_lose_is_in_the_gaps(start) -> None:
    with running(Market(SYMBOLS, rate=300, shuffle=1.5), Rules(drop_every=40)) as (url, exchange):
        run = start(url)
        run.until(lambda: len(run.sink.gaps()) > 4)
        run.end()
        assert uncovered(exchange, run.sink) == []
    assert [gap.reason for gap in run.sink.gaps()[:2]] == ["subscribed", "the feed cannot replay"]
    connections = dict.fromkeys(trade.connection for trade in run.sink.trades())
    assert len(connections) >= 4
    sequences = [trade.sequence for trade in run.sink.trades()]
    assert sequences == sorted(set(sequences))


def test_a_restart_leaves_a_gap_and_goes_on_counting(start) -> None:
    sink = Sink()
    with running(Market(SYMBOLS, rate=300)) as (url, exchange):
        for _ in range(3):
            before = len(sink.trades())
            run = start(url, sink=sink)
            run.until(lambda before=before: len(sink.trades()) > before + 50)
            run.end()
            wait(lambda: exchange._client is None, "end of the connection")  # a second one would end both
        assert uncovered(exchange, sink) == []
    assert [gap.reason for gap in sink.gaps()] == ["subscribed", *["the feed cannot replay"] * 2]
    sequences = [trade.sequence for trade in sink.trades()]
    assert sequences == sorted(set(sequences))


def test_it_unsubscribes_when_it_ends(start) -> None:
    heard: list[dict] = []

    def handle(connection: ServerConnection) -> None:
        for text in connection:
            heard.append(json.loads(text))

    with serving(handle) as url:
        run = start(url)
        run.says("ready")
        run.end()
        assert [each["symbol"] for each in heard if each["type"] == "subscribe"] == list(SYMBOLS)
        end = time.monotonic() + 10
        while len(heard) < 6 and time.monotonic() < end:
            time.sleep(0.02)
    assert [each["symbol"] for each in heard if each["type"] == "unsubscribe"] == list(SYMBOLS)


def test_pings_keep_a_quiet_market_and_shorten_its_gap(start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finnhub, "QUIET", 0.5)
    began = time.time()
    with running(Market(SYMBOLS, count=0), Rules(ping_every=0.2)) as (url, _):
        run = start(url, watchdog=1.5)
        run.until(lambda: time.time() > began + 4)
        assert [gap.reason for gap in run.sink.gaps()] == ["subscribed"]
        assert run.sink.committed.seen > (began + 2.5) * SECOND
        lost = time.time()
        port = int(url.rpartition(":")[2])
    with running(Market(SYMBOLS, count=0), port=port) as (url, _):
        run.until(lambda: len(run.sink.gaps()) == 2)
        found = time.time()
    gap = run.sink.gaps()[1]
    assert lost - 3.5 < gap.start / SECOND < lost - 1.5  # two seconds before the last ping
    assert found < gap.end / SECOND < found + 2.5
    assert sum("may be closed" in line for line in run.lines) == 1


def test_a_subscription_is_a_sign_of_life(start) -> None:
    began = time.time()
    with running(Market(SYMBOLS, count=0)) as (url, _):
        run = start(url)
        run.until(lambda: run.sink.committed and run.sink.committed.seen >= began * SECOND)


def test_silence_is_said_again_after_trades(start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finnhub, "QUIET", 0.3)
    with running(Market(SYMBOLS, rate=2), Rules(ping_every=0.1)) as (url, _):
        run = start(url)
        run.until(lambda: sum("may be closed" in line for line in run.lines) >= 2)


def test_a_silent_connection_is_given_up(start) -> None:
    with running(Market(SYMBOLS, rate=100), Rules(silent_after=10)) as (url, exchange):
        run = start(url, watchdog=1)
        run.says("silent for 1 s")
        run.until(lambda: len(run.sink.gaps()) == 2 and len({trade.connection for trade in run.sink.trades()}) == 2)
        run.end()
        assert uncovered(exchange, run.sink) == []


def test_too_many_symbols_are_explained_once(start) -> None:
    with running(Market(SYMBOLS, rate=100), Rules(max_symbols=1, drop_every=20)) as (url, _):
        run = start(url)
        run.until(lambda: len(run.sink.gaps()) == 3)
    [line] = [line for line in run.lines if "too many symbols" in line]
    assert "some of the 3 symbols" in line and "50" in line and "name fewer" in line
    assert {trade.symbol for trade in run.sink.trades()} == {SYMBOLS[0]}


@pytest.mark.parametrize("status", [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN])
def test_a_refused_token_is_one_clear_end(status: HTTPStatus, start) -> None:
    def refuse(connection: ServerConnection, _: object) -> object:
        return connection.respond(status, "Invalid API key hush")

    with serving(lambda _: None, process_request=refuse) as url:
        run = start(url, token=SECRET)
        run.thread.join(20)
    assert isinstance(run.error, ConfigError)
    assert "does not accept the token: correct FINNHUB_TOKEN" in str(run.error)


def test_the_double_takes_its_own_token_alone(start) -> None:
    with running(Market(SYMBOLS, rate=100), Rules(token=SECRET)) as (url, _):
        run = start(url, token=SECRET)
        run.until(lambda: len(run.sink.trades()) > 10)
        run.end()
        wrong = start(url, token="wrong")
        wrong.thread.join(20)
    assert "does not accept the token" in str(wrong.error)


def test_an_error_about_the_token_ends_it_and_others_are_said_without_it(start) -> None:
    texts = [f"strange {SECRET}", f"strange {SECRET}", "Invalid API key"]

    def handle(connection: ServerConnection) -> None:
        for text in texts:
            connection.send(json.dumps({"type": "error", "msg": text}))
        for _ in connection:
            pass

    with serving(handle) as url:
        run = start(url, token=SECRET)
        run.thread.join(20)
    assert "does not accept the token" in str(run.error)
    assert [line for line in run.lines if "strange" in line] == ["Finnhub says 'strange ...'"]


@pytest.mark.parametrize("text", ["Invalid API key", "Please use an API key.", "Unauthorized", "token is invalid"])
def test_a_token_that_is_not_accepted_is_told_in_many_ways(text: str) -> None:
    with pytest.raises(ConfigError, match="does not accept the token"):
        follower([])._explain(text)


@pytest.mark.parametrize(
    "text", ["Invalid symbol BINANCE:TOKENUSDT", "No data for TOKEN", "Too many symbols for a token"]
)
def test_an_error_that_speaks_of_tokens_is_said(text: str) -> None:
    lines: list[str] = []
    follower(lines)._explain(text)
    assert len(lines) == 1 and text in lines[0]


def follower(lines: list[str]) -> finnhub.Follower:
    return finnhub.Follower(SYMBOLS, SecretStr(SECRET), lines.append, time.time, time.monotonic)


def test_429_is_said_and_tried_again(start) -> None:
    def refuse(connection: ServerConnection, _: object) -> object:
        return connection.respond(429, "")

    with serving(lambda _: None, process_request=refuse) as url:
        run = start(url, token=SECRET)
        run.until(lambda: sum("429); next attempt in" in line for line in run.lines) >= 2)
    assert "too many connections with this key" in run.lines[0]


def test_connections_that_end_again_and_again_are_explained(start) -> None:
    with running(Market(SYMBOLS, rate=100)) as (url, exchange):
        first = start(url)
        first.until(lambda: len(first.sink.trades()) > 10)
        second = start(url)
        first.says("connects with the same key, for Finnhub drops both")
        second.end()
        before = len(first.sink.trades())
        first.until(lambda: len(first.sink.trades()) > before, 60)
        first.end()
        assert uncovered(exchange, first.sink) == []
    assert sum("the same key" in line for line in first.lines) == 1
