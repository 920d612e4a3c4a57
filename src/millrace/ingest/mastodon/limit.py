"""The rate limit of an instance, as its last answer told it, kept by the monotonic clock.

It is in the headers X-RateLimit-Limit, -Remaining and -Reset (docs.joinmastodon.org/api/rate-limits). Mastodon.py turns
the last one into a time of the wall clock, which somebody may set; so the seconds until then are taken at once.
"""

import time

from mastodon import Mastodon

from millrace.ingest.events import Clock
from millrace.ingest.mastodon.client import LimitReached

RESERVE = 2  # calls that are left to others with the same address
PERIOD = 300.0  # seconds after which a limit is lifted, if the server does not say when


class Limit:
    """The calls that are left on the instance `name`, and until when; `timer` is monotonic."""

    def __init__(self, name: str, timer: Clock = time.monotonic) -> None:
        self._name, self._timer = name, timer
        self._told: float | None = None  # the reset that was told last, of the wall clock
        self._lifted, self._remaining, self._whole = 0.0, 0, 0
        self._blocked = 0.0  # no call before this time

    def learn(self, client: Mastodon) -> None:
        """Take over what the last answer told."""
        reset, remaining = client.ratelimit_reset, client.ratelimit_remaining
        if reset is None or remaining is None:
            return
        if reset != self._told:
            self._told, self._lifted = reset, self._timer() + reset - time.time()
        self._remaining, self._whole = int(remaining), int(client.ratelimit_limit)

    def reached(self) -> LimitReached:
        """Return the error for an answer that there were too many calls, after which none is made for a while."""
        left = self._left()
        delay = left[0] if left else PERIOD
        self._blocked = self._timer() + delay
        return LimitReached(self._name, delay)

    def check(self) -> None:
        """Raise LimitReached where no call is allowed now."""
        left = self._left()
        delay = max(self._blocked - self._timer(), left[0] if left and left[1] <= RESERVE else 0.0)
        if delay > 0:
            raise LimitReached(self._name, delay)

    def pace(self, every: float, callers: int) -> float:
        """Return the seconds, at least `every`, that one of `callers` must leave between its calls.

        So all of them stay within the rate limit until it is lifted.
        """
        left = self._left()
        if left is None:
            return every
        seconds, calls = left
        return max(every, callers * seconds / max(1, calls - RESERVE))

    def has_spare(self) -> bool:
        """Return whether more than half of the calls are left, so that calls that are not urgent may be made."""
        left = self._left()
        return left is None or left[1] * 2 > self._whole

    def _left(self) -> tuple[float, int] | None:
        """Return the seconds until the rate limit is lifted and the calls left until then, None if unknown."""
        seconds = self._lifted - self._timer()
        return (seconds, self._remaining) if seconds > 0 else None
