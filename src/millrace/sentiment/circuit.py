"""Whether a server may be asked now: what it asked us to wait, and what its failures tell."""

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from millrace.errors import MillraceError
from millrace.sentiment.labels import SKIPPED
from millrace.sentiment.wire import Failure

FAILURES = 5  # in a row, after which a pause begins
PATIENCE = 5.0  # seconds of a failing server that texts wait for, so that a restart costs no label
FIRST, LAST = 1.0, 20.0  # seconds of a pause, which doubles; with a call's 30 s it is back within 60
LOOK = 0.05  # seconds between two looks while one call tries the server
SPARE, TEXTS = 20, 5  # retries that are free at first, and texts that earn one: at most a fifth more calls


class Late(MillraceError):
    """The time to ask is over."""


class Open(Failure):
    """No call went out: the server has been failing for too long."""


class Circuit:
    """What is known of one server; times are of the monotonic `clock`.

    After FAILURES in a row no call goes out for a pause, then a single one; if it fails, the next pause is twice as
    long. Meanwhile texts wait for PATIENCE, beyond which they fail at once. A Retry-After holds back every call, and
    patience begins when it is over.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures, self._reason = 0, ""
        self._since = 0.0  # when patience began
        self._pause, self._paused, self._limited = 0.0, 0.0, 0.0
        self._probing = False
        self._spare = SPARE * TEXTS  # in parts of a retry

    @asynccontextmanager
    async def call(self, until: float | None) -> AsyncIterator[None]:
        """Wait until a call may go out, and learn from how it ends. Raises Late and Open."""
        probe = await self._admitted(until)
        try:
            yield
        except Failure as failure:
            if failure.server:
                self._failed(failure, probe)
            else:
                self._answered()
            raise
        else:
            self._answered()
        finally:
            self._probing = self._probing and not probe

    def earn(self) -> None:
        """Note that a new text is asked about, which allows for a part of a retry."""
        self._spare = min(SPARE * TEXTS, self._spare + 1)

    def spend(self) -> bool:
        """Return whether a retry is allowed, and take it from the budget."""
        allowed = self._spare >= TEXTS
        self._spare -= TEXTS if allowed else 0
        return allowed

    async def _admitted(self, until: float | None) -> bool:
        """Wait; return whether this call is the one that tries a failing server."""
        while True:
            now = self._clock()
            if until is not None and now >= until:
                raise Late(f"{SKIPPED}: the time to ask was over")
            broken = self._failures >= FAILURES
            wait = max(self._limited, self._paused if broken else 0.0) - now
            if wait <= 0 and not (broken and self._probing):
                self._probing = self._probing or broken
                return broken
            if broken and now >= self._since + PATIENCE:
                raise Open(f"circuit open: {self._reason}", server=False)
            await asyncio.sleep(LOOK if broken else min(wait, 1.0))

    def _failed(self, failure: Failure, probe: bool) -> None:
        now = self._clock()
        self._reason = str(failure)
        if failure.after is not None:
            self._limited = max(self._limited, now + failure.after)
        if not self._failures:
            self._since = max(now, self._limited)
        self._failures += 1
        if probe or self._failures == FAILURES:  # not those that were under way
            self._pause = min(2 * self._pause or FIRST, LAST)
            self._paused = now + self._pause

    def _answered(self) -> None:
        self._failures, self._pause = 0, 0.0


@functools.cache
def of(url: str) -> Circuit:
    """Return the circuit of the server at `url`, one for the life of the process: workers of Spark are used again."""
    return Circuit()
