"""A double of Finnhub: a market on its WebSocket, with its key, its limits, faults, and the truth."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from millrace.simulate import serving
from millrace.simulate import truth as answer
from millrace.simulate.exchange import Exchange, Rules
from millrace.simulate.market import Market

PORT = 6010


def serve(market: Market, rules: Rules, port: int = PORT, truth: Path | None = None) -> None:
    """Serve `market` until SIGTERM or SIGINT; prints `ready ws://HOST:PORT` to stderr, and how to read it.

    Writes the truth to `truth` as JSON lines when all was told, and again at the end: what was sent is known only then.
    Raises Unavailable where the port is taken.
    """
    exchange = _exchange(market, rules, truth)
    symbols = " ".join(market.symbols[:3])
    hint = f"export FINNHUB_TOKEN={quote(rules.token)}\nmillrace ingest finnhub {symbols} --print --url URL\n"
    serving.serve(exchange, port, "ws", hint=hint)
    if truth:
        answer.write(exchange.lines(), truth)


@contextmanager
def running(
    market: Market, rules: Rules | None = None, truth: Path | None = None, port: int = 0
) -> Iterator[tuple[str, Exchange]]:
    """Serve `market` from a thread, yield `ws://HOST:PORT` and the exchange, stop the server at the end."""
    exchange = _exchange(market, rules or Rules(), truth)
    with serving.running(exchange, port, "ws") as url:
        yield url, exchange
    if truth:
        answer.write(exchange.lines(), truth)


def _exchange(market: Market, rules: Rules, truth: Path | None) -> Exchange:
    exchange = Exchange(market, rules, ended=lambda: answer.write(exchange.lines(), truth) if truth else None)
    return exchange
