"""How long to wait before the next attempt: exponential backoff with full jitter.

After "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: full jitter spreads the clients best.
"""

import random
import time
from collections.abc import Callable

BASE = 0.5  # seconds
CAP = 30.0
HEALTHY = 60.0  # a connection that lasted so long starts over


class Backoff:
    """Delays that grow from 0.5 s to `cap`; `clock` is monotonic, `draw` returns a number in [0, 1)."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
        cap: float = CAP,
    ) -> None:
        self._clock, self._draw, self._cap = clock, draw, cap
        self._attempts = 0
        self._since: float | None = None

    def connected(self) -> None:
        """Note that the attempt succeeded."""
        self._since = self._clock()

    def delay(self) -> float:
        """Return the seconds to wait after a failure."""
        if self._since is not None and self._clock() - self._since >= HEALTHY:
            self._attempts = 0
        self._since = None
        ceiling = min(self._cap, BASE * 2.0 ** min(self._attempts, 10))
        self._attempts += 1
        return ceiling * self._draw()
