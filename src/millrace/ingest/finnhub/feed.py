"""Read Finnhub's trades from its WebSocket as trade.v1 (finnhub.io/docs/api/websocket-trades).

Finnhub cannot replay, and its trades have no id: a trade is identified by its connection and sequence number.
"""

import re
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from http import HTTPStatus
from urllib.parse import quote, quote_plus, urlencode

import msgspec
from pydantic import SecretStr

from millrace.errors import BadRecord, ConfigError, Unavailable
from millrace.ingest.addresses import address
from millrace.ingest.events import SECOND, Clock, Cursor, DeadLetter, Feed, Item, Mark, Pulse, Stream
from millrace.ingest.finnhub import ticks
from millrace.ingest.finnhub.ticks import Ticks
from millrace.ingest.frames import Refused, messages
from millrace.ingest.refusals import Refusals
from millrace.kafka.topics import TRADES

QUIET = 60.0  # seconds without a trade after which the user is told
HASTY = 10.0  # seconds; a connection that ends sooner was ended on purpose
HASTY_ENDS = 3  # of them in a row look like a second connection with the same key
FREE = 50  # symbols that a free key may follow
NOTICES = 20  # different notices of the server that are passed on
DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
DOUBLE = "`millrace simulate finnhub` is a double for which you need no account"
_WRONG, _KEY = r"invalid|wrong|missing|expired|unknown", r"token|api.?key"
_REFUSED = re.compile(  # texts may echo symbols, such as BINANCE:TOKENUSDT, or say what the token may not do
    rf"\b({_WRONG}|use an)\s+({_KEY})\b|\b({_KEY})\s+(is\s+)?({_WRONG}|required)\b|\bunauthori[sz]ed\b|\bauthenticat",
    re.IGNORECASE,
)


def feed(
    url: str,
    symbols: Sequence[str],
    token: SecretStr,
    *,
    say: Callable[[str], None],
    clock: Clock = time.time,
    timer: Clock = time.monotonic,
) -> Feed:
    """Return the feed of the trades of `symbols`; `say` takes a line about what its user should know.

    `clock` is the wall clock, `timer` is monotonic.
    """
    return Feed("finnhub", TRADES, (url,), Follower(symbols, token, say, clock, timer).connect, replayable=False)


class Follower:
    """Subscribes anew on each connection; remembers which notices were shown, and how the connections ended."""

    def __init__(
        self, symbols: Sequence[str], token: SecretStr, say: Callable[[str], None], clock: Clock, timer: Clock
    ) -> None:
        self._symbols, self._token = list(symbols), token
        self._say, self._clock, self._timer = say, clock, timer
        self._sequence = ticks.Sequence()
        self._notices: set[str] = set()
        self._refusals = Refusals(timer=timer)
        self._hasty_ends = 0
        self._traded: float | None = None  # when the last trade came; None: the user was told of the silence
        self._subscribed = 0.0

    def connect(self, url: str, cursor: Cursor | None) -> Stream:
        """Yield the trades of one connection; a subscription and a ping are marks: until then nothing was lost.

        Raises Unavailable, and ConfigError when the token is not accepted.
        """
        del cursor  # there is no replay
        wanted = f"{url}?{urlencode({'token': self._token.get_secret_value()})}"
        source = Ticks(self._symbols, secrets.token_hex(6), self._sequence)
        greeted = False
        try:
            with closing(messages(wanted, self._all("subscribe"), self._all("unsubscribe"), pings=True)) as frames:
                for frame in frames:
                    yield from self._items(source, frame) if greeted else self._begin()
                    greeted = True
        except Refused as error:
            raise self._refusal(url, error) from None
        except Unavailable:
            if greeted:
                self._note_end()
            raise

    def _all(self, kind: str) -> list[bytes]:
        return [msgspec.json.encode({"type": kind, "symbol": symbol}) for symbol in self._symbols]

    def _begin(self) -> Stream:
        self._subscribed = self._traded = self._timer()
        yield None
        yield self._mark()

    def _items(self, source: Ticks, frame: bytes | DeadLetter | Pulse | None) -> Stream:
        if frame is None or isinstance(frame, Pulse):
            self._look_for_silence()
            yield frame
        elif isinstance(frame, DeadLetter):
            yield frame
        else:
            yield from self._heard(source, frame)

    def _heard(self, source: Ticks, frame: bytes) -> Stream:
        try:
            message = ticks.read(frame)
        except BadRecord as error:
            yield DeadLetter.of(frame, str(error))
            return
        if message.type in ("trade", "ping"):
            self._refusals.accept()
        if message.type == "trade":
            self._traded = self._timer()
            now = self._now()
            for raw in message.data or ():
                yield source.item(bytes(raw), now)
        elif message.type in ("ping", "error"):
            self._explain(str(message.msg or "nothing")) if message.type == "error" else self._look_for_silence()
            yield self._mark()
        else:
            yield DeadLetter.of(frame, f"type {message.type[:70]!r} is not known")

    def _mark(self) -> Item:
        now = self._now()
        return Mark(self._sequence.after(now), now)

    def _now(self) -> int:
        return int(self._clock() * SECOND)

    def _explain(self, text: str) -> None:
        """Report what an error of the server means; raises when it does not accept the token."""
        if _REFUSED.search(text):
            raise self._denial()
        token = self._token.get_secret_value()
        shown = text.replace(token, "...").replace(quote_plus(token), "...").replace(quote(token), "...")[:200]
        notice = f"Finnhub says {shown!r}"
        if "too many symbols" in text.lower():
            notice += (
                f": some of the {len(self._symbols)} symbols stay without trades, and it does not say which; a free "
                f"key may follow {FREE}: name fewer, or use a key that allows more"
            )
        if notice not in self._notices and len(self._notices) < NOTICES:
            self._notices.add(notice)
            self._say(notice)

    def _look_for_silence(self) -> None:
        if self._traded is not None and self._timer() - self._traded > QUIET:
            self._traded = None
            self._say(
                f"no trade for {QUIET:g} s: the market may be closed; `millrace simulate finnhub` is one that never is"
            )

    def _note_end(self) -> None:
        hasty = self._timer() - self._subscribed < HASTY
        self._hasty_ends = self._hasty_ends + 1 if hasty else 0
        if self._hasty_ends == HASTY_ENDS:
            self._say(
                f"{HASTY_ENDS} connections in a row ended within {HASTY:g} s: it looks like this when a second program "
                "connects with the same key, for Finnhub drops both; end the other one, or give each a key of its own"
            )

    def _refusal(self, url: str, error: Refused) -> Exception:
        body = error.body.decode(errors="replace")
        if error.status == HTTPStatus.TOO_MANY_REQUESTS:
            return Unavailable(f"{address(url)}: too many connections with this key (HTTP status 429)")
        bare = error.status == HTTPStatus.UNAUTHORIZED and not body.strip()
        if bare or (error.status in DENIED and _REFUSED.search(body)):
            return self._denial()
        return error  # of a proxy or a firewall

    def _denial(self) -> Exception:
        """Return the error for a token that is not accepted: final, unless it was accepted some minutes ago."""
        if self._refusals.refuse():
            return _not_accepted()
        return Unavailable("Finnhub does not accept the token, as it did before")


def missing() -> ConfigError:
    """Return the error for a token that is not set."""
    return ConfigError(f"FINNHUB_TOKEN is not set: a free key is at https://finnhub.io/register; {DOUBLE}")


def _not_accepted() -> ConfigError:
    return ConfigError(
        f"Finnhub does not accept the token: correct FINNHUB_TOKEN (https://finnhub.io/dashboard shows yours); {DOUBLE}"
    )
