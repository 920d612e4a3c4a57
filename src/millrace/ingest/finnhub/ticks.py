"""Convert Finnhub's messages to trade.v1: a message holds trades of several symbols, and each becomes a record."""

from collections.abc import Collection
from decimal import Decimal
from typing import Any

import msgspec

from millrace.errors import BadRecord
from millrace.ingest.events import DeadLetter, Event
from millrace.ingest.fields import Fields
from millrace.ingest.values import event_time, fitting, moment
from millrace.kafka import trades
from millrace.kafka.topics import TRADES
from millrace.kafka.trades import Trade

MILLISECOND = 1000  # microseconds


class Message(msgspec.Struct):
    """A message from Finnhub: its `type` is trade, ping or error; `data` are the trades, `msg` is the error."""

    type: str
    data: list[msgspec.Raw] | None = None
    msg: Any = None


class _Trade(msgspec.Struct):
    """What a trade is: without its symbol, price, time and volume it is none."""

    s: str
    p: Decimal
    t: int  # milliseconds
    v: Decimal
    c: Any = None


_MESSAGE = msgspec.json.Decoder(Message)
_TRADE = msgspec.json.Decoder(_Trade)


def read(frame: bytes) -> Message:
    """Return the message in a frame; raises BadRecord."""
    try:
        message = _MESSAGE.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRecord(str(error)) from None
    if message.type == "trade" and message.data is None:
        raise BadRecord("data is missing")
    return message


class Sequence:
    """Numbers that grow over all connections: the clock's microseconds, or the last plus one if the clock is behind.

    So they grow over restarts, too, unless the clock was set back meanwhile.
    """

    def __init__(self) -> None:
        self._last = 0

    def after(self, now: int) -> int:
        """Return the next number; `now` is the clock in microseconds."""
        self._last = max(self._last + 1, now)
        return self._last


class Ticks:
    """The trades of one `connection`, of `symbols` alone, numbered by `sequence`."""

    def __init__(self, symbols: Collection[str], connection: str, sequence: Sequence) -> None:
        self._symbols, self._connection, self._sequence = frozenset(symbols), connection, sequence

    def item(self, raw: bytes, now: int) -> Event | DeadLetter:
        """Return the event of one trade, or a dead letter if it is none; `now` is in microseconds."""
        try:
            return self._event(raw, now)
        except BadRecord as error:
            return DeadLetter.of(raw, str(error))

    def _event(self, raw: bytes, now: int) -> Event:
        found = _decode(raw)
        if found.s not in self._symbols:
            raise BadRecord(f"symbol {found.s[:70]!r} was not subscribed")
        witnessed = event_time(found.t * MILLISECOND, now) // MILLISECOND * MILLISECOND
        sequence = self._sequence.after(now)
        conditions = Fields({"c": found.c}, ("c",))
        trade = Trade(
            symbol=found.s,
            price=found.p,
            volume=found.v,
            event_time=moment(witnessed),
            conditions=conditions.words("c"),
            received_at=moment(now),
            connection=self._connection,
            sequence=sequence,
        )
        data = fitting(trades.encode(trade))
        trades.decode(data)  # so that every reader accepts what is written
        event_id = f"{self._connection}/{sequence}"
        # a trade that is dated ahead does not prove that nothing is missing until then
        seen, mended = min(witnessed, now), bool(conditions.mended)
        return Event(TRADES.name, found.s.encode(), data, witnessed, event_id, sequence, seen, mended=mended)


def _decode(raw: bytes) -> _Trade:
    try:
        return _TRADE.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRecord(str(error)) from None
