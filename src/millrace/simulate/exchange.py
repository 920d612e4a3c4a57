"""The server behind a market: one connection a key, subscriptions, pings; what nobody hears is gone."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from millrace.simulate import tape
from millrace.simulate.feed import BREATH, TICK, Outlet
from millrace.simulate.market import Market, Trade, messages

TOO_MANY = "Subscribing to too many symbols"


@dataclass(frozen=True)
class Rules:
    """How the server treats its clients: `token` is the key, `ping_every` is in seconds of the wall clock."""

    token: str = "demo"
    max_symbols: int = 50
    ping_every: float = 60.0
    drop_every: int | None = None  # a connection ends after so many messages on it
    silent_after: int | None = None  # once, after so many messages in all, one connection hears nothing more


class Exchange:
    """The market opens with the first subscription, and goes on whether anybody listens or not."""

    def __init__(self, market: Market, rules: Rules, ended: Callable[[], None] = lambda: None) -> None:
        self.market, self.rules = market, rules
        self.start = 0  # milliseconds, once it is open
        self.drops = 0  # connections that it ended
        self._ended = ended
        self._messages = messages(market)
        self._next: list[Trade] | None = None
        self._told = bytearray()  # by index of a trade: whether it was sent
        self._opened: float | None = None
        self._sent = 0  # messages
        self._client: _Client | None = None

    async def refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a wrong key before the handshake; None lets it pass."""
        if parse_qs(urlsplit(request.path).query).get("token") != [self.rules.token]:
            return connection.respond(HTTPStatus.UNAUTHORIZED, "Invalid API key\n")
        return None

    async def handle(self, socket: ServerConnection) -> None:
        """Serve one client until it leaves; a second one with the key ends both."""
        client = _Client(socket)
        if self._client is not None:
            self.drops += 2
            self._client.leave()
            client.leave()
            return
        self._client = client
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._tell(client)), group.create_task(self._ping(client))]
                with suppress(ConnectionClosed):
                    async for text in socket:
                        await self._obey(client, text)
                for task in tasks:
                    task.cancel()
        finally:
            self._client = None

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield the right answer until now: a line of `kind` summary, then one a trade.

        The summary has `trades` (the good ones), `updates` (those of them without volume), `malformed` (broken trades
        and messages that were sent), `sent`, `unsent` (trades nobody heard) and `drops` (connections that were ended).
        A trade has symbol, price and volume (as written), event_time (milliseconds), conditions, sent.
        """
        happened = [each for each in self._happened() if each.broken is None]
        sent = sum(self._was_sent(each) for each in happened)
        yield {
            "kind": "summary",
            "trades": len(happened),
            "updates": sum(float(each.volume) == 0 for each in happened),
            "malformed": sum(each.broken is not None and self._was_sent(each) for each in self._happened()),
            "sent": sent,
            "unsent": len(happened) - sent,
            "drops": self.drops,
        }
        for trade in happened:
            yield {
                "symbol": trade.symbol,
                "price": trade.price,
                "volume": trade.volume,
                "event_time": self.start + trade.time,
                "conditions": list(trade.conditions or ()),
                "sent": self._was_sent(trade),
            }

    def _happened(self) -> Iterator[Trade]:
        """Yield all trades of a finite market, of an endless one those until now."""
        if self._opened is None and self.market.count is None:
            return
        told, now = len(self._told), time.monotonic()
        for message in messages(self.market):
            if self.market.count is None and message[0].index >= told and self._due(message) > now:
                return
            yield from message

    def _was_sent(self, trade: Trade) -> bool:
        return trade.index < len(self._told) and bool(self._told[trade.index])

    def _due(self, message: list[Trade]) -> float:
        """When a message is told, by the monotonic clock; at once at speed 0."""
        if not self.market.speed:
            return 0.0
        return (self._opened or 0.0) + message[-1].index / self.market.rate / self.market.speed

    def _open(self, now: float) -> None:
        if self._opened is None:
            self._opened = now
            self.start = self.market.opened(time.time_ns() // 1_000_000)

    async def _obey(self, client: "_Client", text: str | bytes) -> None:
        try:
            asked = json.loads(text)
            kind, symbol = asked["type"], asked["symbol"]
        except (ValueError, TypeError, KeyError):
            await client.say(tape.error("Invalid message"))
            return
        if kind not in ("subscribe", "unsubscribe") or not isinstance(symbol, str):
            await client.say(tape.error("Invalid message"))
        elif kind == "unsubscribe":
            client.symbols.discard(symbol)
        elif len(client.symbols | {symbol}) > self.rules.max_symbols:
            await client.say(tape.error(TOO_MANY))
        else:
            now = time.monotonic()
            self._open(now)
            client.subscribe(symbol, now)

    async def _ping(self, client: "_Client") -> None:
        while True:
            await asyncio.sleep(self.rules.ping_every)
            if not client.silent:
                await client.say(tape.PING)

    async def _tell(self, client: "_Client") -> None:
        """Send what happens from now on."""
        joined = await client.joined
        for number in itertools.count():
            message, self._next = self._next or next(self._messages, None), None
            if message is None:
                await client.flush()
                self._ended()
                return
            due = self._due(message)
            if due < joined and self.market.speed:
                continue  # nobody heard it
            self._next = message  # it is still to come, if this client leaves before
            await self._wait(client, due, number)
            self._next = None
            self._send(client, message)
            if client.count == self.rules.drop_every:
                self.drops += 1
                await client.flush(close=True)
                return

    async def _wait(self, client: "_Client", due: float, number: int) -> None:
        delay = due - time.monotonic()
        if delay > 0:
            await client.flush()
            await asyncio.sleep(max(delay, TICK))
        elif number % BREATH == 0:
            await client.flush()
            await asyncio.sleep(0)

    def _send(self, client: "_Client", message: list[Trade]) -> None:
        wanted = [each for each in message if each.symbol in client.symbols]
        if not wanted or client.silent:
            return
        self._told.extend(bytes(max(0, wanted[-1].index + 1 - len(self._told))))
        for each in wanted:
            self._told[each.index] = 1
        client.add(tape.message(wanted, self.start), True)
        self._sent += 1
        client.silent = self._sent == self.rules.silent_after


class _Client(Outlet):
    """One connection, and what it asked for."""

    def __init__(self, socket: ServerConnection) -> None:
        super().__init__(socket)
        self.symbols: set[str] = set()
        self.joined: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.silent = False

    def subscribe(self, symbol: str, now: float) -> None:
        """Follow one more symbol; the first one says when the client joined (monotonic seconds)."""
        self.symbols.add(symbol)
        if not self.joined.done():
            self.joined.set_result(now)

    async def say(self, data: bytes) -> None:
        """Send a message that is no trade: it does not count."""
        self.add(data, True)
        self.count -= 1
        await self.flush()

    def leave(self) -> None:
        """End the connection unannounced."""
        self.socket.transport.close()
