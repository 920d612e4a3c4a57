"""Finnhub's adapter when connections and processes go: nothing comes twice, and what is missing lies in a gap."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.proxy import Proxy
from tests.support import Child, wait
from tests.trading import SYMBOLS, Committed, committed_from_now, keys, uncovered

from millrace.config import Settings
from millrace.simulate.exchange import Exchange
from millrace.simulate.finnhub import running
from millrace.simulate.market import Market

MARKET = Market(SYMBOLS, rate=300, shuffle=1.0, malformed=0.01, bursts=0.01)


@pytest.fixture
def committed(kafka: Settings) -> Iterator[Committed]:
    with committed_from_now(kafka) as found:
        yield found


@pytest.fixture
def adapter(begin: Callable[..., Any], kafka: Settings, tmp_path: Path) -> Callable[..., Child]:
    def start(url: str, *options: str) -> Child:
        place = ["--url", url, "--bootstrap", kafka.kafka_bootstrap, "--home", str(tmp_path)]
        return begin(Child, tmp_path, "ingest", "finnhub", *SYMBOLS, *place, *options, FINNHUB_TOKEN="demo")

    return start


def more(committed: Committed, child: Child, trades: int = 200) -> None:
    """Wait until so many more trades are committed."""
    goal = len(committed.records()) + trades
    wait(lambda: len(committed.records()) >= goal, f"{goal} trades", child)


def whole(committed: Committed, exchange: Exchange) -> None:
    """Nothing is there that was not sent, nothing twice, and all that is missing is told."""
    assert uncovered(exchange, keys(committed.trades()), committed.spans()) == []


def test_a_connection_that_is_cut_and_one_that_hangs(
    committed: Committed, adapter: Callable[..., Child], proxy: Callable[[str, int], Proxy]
) -> None:
    with running(MARKET) as (url, exchange):
        between = proxy("127.0.0.1", urlsplit(url).port or 0)
        child = adapter(f"ws://127.0.0.1:{between.port}", "--watchdog", "2")
        more(committed, child)
        between.cut()
        child.says("next attempt in")
        between.restore()
        more(committed, child)
        between.hang()
        child.says("silent for 2 s")
        between.cut()
        between.restore()
        more(committed, child)
        assert child.stop() == 0, child.text()
        whole(committed, exchange)
    assert len({trade.connection for trade in committed.trades()}) >= 3


def test_a_second_connection_with_the_key(committed: Committed, adapter: Callable[..., Child]) -> None:
    with running(MARKET) as (url, exchange):
        child = adapter(url)
        more(committed, child)
        second = adapter(url, "--print")
        child.says("the same key")
        second.kill()
        more(committed, child)
        assert child.stop() == 0, child.text()
        whole(committed, exchange)


def test_the_adapter_is_killed(committed: Committed, adapter: Callable[..., Child]) -> None:
    with running(MARKET) as (url, exchange):
        for _ in range(3):
            child = adapter(url)
            more(committed, child)
            child.kill()
        child = adapter(url)
        more(committed, child)
        assert child.stop() == 0, child.text()
        whole(committed, exchange)
    assert len({trade.connection for trade in committed.trades()}) == 4
    assert len(committed.gaps()) >= 4
