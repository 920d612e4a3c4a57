"""The Finnhub adapter as a process: from its double into Kafka, every field, and what connections lose."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from tests.support import Child, wait
from tests.trading import SYMBOLS, Committed, committed_from_now, ingested, keys, right, uncovered

from millrace.config import Settings
from millrace.ingest.committed import last_cursor
from millrace.simulate.exchange import Rules
from millrace.simulate.finnhub import running
from millrace.simulate.market import Market

TOKEN = "a-very-secret-token"


@pytest.fixture
def committed(kafka: Settings) -> Iterator[Committed]:
    with committed_from_now(kafka) as found:
        yield found


@pytest.fixture
def adapter(kafka: Settings, tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """Start adapters that do not outlive the test; none shows its token."""
    started: list[Child] = []

    def start(url: str, *options: str, token: str = TOKEN) -> Child:
        place = ["--url", url, "--bootstrap", kafka.kafka_bootstrap, "--home", str(kafka.home)]
        started.append(Child(tmp_path, "ingest", "finnhub", *SYMBOLS, *place, *options, FINNHUB_TOKEN=token))
        return started[-1]

    yield start
    for each in started:
        assert TOKEN not in each.text() + "".join(each.command_lines())
        each.kill()


def test_every_sent_trade_once(committed: Committed, adapter: Callable[..., Child], tmp_path: Path) -> None:
    market, told = Market(SYMBOLS, count=6000, speed=0, malformed=0.03, bursts=0.02, zero_volume=0.1), tmp_path / "told"
    with running(market, Rules(token=TOKEN), told) as (url, exchange):
        running_adapter = adapter(url)
        wait(told.exists, "whole market", running_adapter)
        summary, sent, _ = right(exchange)
        assert summary["sent"] > 600  # what was traded before all symbols were asked for is not
        wait(lambda: len(committed.records()) >= summary["sent"], "trades", running_adapter)
        assert running_adapter.stop() == 0, running_adapter.text()
    assert keys(committed.trades()) == sent
    assert any(count > 1 for count in sent.values())  # equal trades are both real
    letters = committed.letters()
    assert len(letters) == summary["malformed"] > 10
    assert {(letter["topic"], letter["offset"]) for letter in letters} == {("finnhub-trades", None)}
    for record in committed.records():
        trade, headers = orjson.loads(record.value), dict(record.headers)
        assert record.key.decode() == trade["symbol"]
        assert headers["schema"] == b"trade.v1"
        assert headers["event_id"].decode() == f"{trade['connection']}/{trade['sequence']}"
        assert record.timestamp == round(datetime.fromisoformat(trade["event_time"]).timestamp() * 1000)
        assert ingested(record) >= datetime.fromisoformat(trade["received_at"])
    [gap] = committed.gap_records()
    assert gap.timestamp <= min(ingested(record) for record in committed.records()).timestamp() * 1000


def test_numbers_stand_as_they_were_sent(committed: Committed, adapter: Callable[..., Child]) -> None:
    with running(Market(SYMBOLS, rate=200), Rules(token=TOKEN)) as (url, exchange):
        assert adapter(url, "--limit", "200").ends() == 0
        _, sent, _ = right(exchange)
    found = re.compile(rb'"price":([^,]+),"volume":([^,]+),')
    texts = [found.search(record.value).groups() for record in committed.records()]
    assert len(texts) == 200
    assert {tuple(map(bytes.decode, pair)) for pair in texts} <= {(key[1], key[2]) for key in sent}


def test_connections_that_are_dropped(committed: Committed, adapter: Callable[..., Child]) -> None:
    """Each is a gap, which was committed before the first trade of the next connection."""
    with running(Market(SYMBOLS, rate=300, shuffle=1), Rules(TOKEN, drop_every=150)) as (url, exchange):
        dropped = adapter(url)
        wait(lambda: len(committed.gaps()) > 3, "gaps", dropped)
        assert dropped.stop() == 0
        assert uncovered(exchange, keys(committed.trades()), committed.spans()) == []
    written = sorted(committed.gap_records(), key=lambda each: each.offset)
    begun: dict[str, datetime] = {}
    for record in sorted(committed.records(), key=ingested):
        begun.setdefault(orjson.loads(record.value)["connection"], ingested(record))
    assert len(begun) >= 3
    for gap, first in zip(written, begun.values(), strict=False):
        assert gap.timestamp <= first.timestamp() * 1000


def test_a_restart_is_a_gap(committed: Committed, adapter: Callable[..., Child]) -> None:
    with running(Market(SYMBOLS, rate=300), Rules(token=TOKEN)) as (url, exchange):
        for _ in range(2):
            assert adapter(url, "--limit", "300").ends() == 0
        assert uncovered(exchange, keys(committed.trades()), committed.spans()) == []
    trades = committed.trades()
    first, second = dict.fromkeys(trade.connection for trade in trades)
    gap = committed.gaps()[-1]
    assert (gap["source"], gap["host"], gap["reason"]) == ("finnhub", url, "the feed cannot replay")
    begin, end = (datetime.fromisoformat(gap[name]) for name in ("from", "to"))
    before = max(trade.event_time for trade in trades if trade.connection == first)
    after = min(trade.event_time for trade in trades if trade.connection == second)
    assert timedelta(seconds=1.9) < before - begin < timedelta(seconds=2.1)
    assert timedelta(0) < end - after < timedelta(seconds=2.5)


def test_a_market_of_pings(kafka: Settings, committed: Committed, adapter: Callable[..., Child]) -> None:
    with running(Market(SYMBOLS, count=0), Rules(TOKEN, ping_every=0.2)) as (url, _):
        quiet = adapter(url, "--watchdog", "2", "--seconds", "5")
        assert quiet.ends() == 0
        assert "silent" not in quiet.text()
    ended = datetime.now(UTC)
    cursor = last_cursor(kafka.kafka_bootstrap, "finnhub")
    assert cursor is not None
    assert ended.timestamp() - 5 < cursor.seen / 1_000_000 <= ended.timestamp()
    assert len(committed.gaps()) == 1


@pytest.mark.parametrize(("token", "words"), [("wrong", "does not accept the token"), ("", "FINNHUB_TOKEN is not set")])
def test_without_the_right_token(token: str, words: str, adapter: Callable[..., Child]) -> None:
    with running(Market(SYMBOLS), Rules(token="right")) as (url, _):
        refused = adapter(url, "--print", token=token)
        assert refused.ends() == 2
    assert words in refused.text() and "`millrace simulate finnhub`" in refused.text()
    assert "Traceback" not in refused.text()


def test_printed_trades(adapter: Callable[..., Child]) -> None:
    with running(Market(SYMBOLS, rate=200), Rules(token=TOKEN)) as (url, _):
        printed = adapter(url, "--print", "--limit", "20")
        assert printed.ends() == 0
    found = [orjson.loads(line) for line in printed.out.read_bytes().splitlines()]
    assert len(found) == 20
    assert {trade["symbol"] for trade in found} <= set(SYMBOLS)
