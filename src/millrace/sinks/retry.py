"""Retry with backoff while a store is unavailable, for a limited time."""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from millrace.errors import Unavailable

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.2  # seconds
LONGEST_PAUSE = 10.0
T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long to retry: `seconds` in all; callers may replace `sleep`, tests also `clock` and `chance`."""

    seconds: float = 120.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random

    def attempt(self, action: Callable[[], T]) -> T:
        """Return the result of `action`, retried with backoff while it raises Unavailable; in the end raise that."""
        give_up = self.clock() + self.seconds
        pause = FIRST_PAUSE
        while True:
            try:
                return action()
            except Unavailable as error:
                wait = pause * (0.5 + self.chance() / 2)  # jitter, so that writers do not retry in step
                if self.clock() + wait > give_up:
                    raise Unavailable(f"{error}; gave up after {self.seconds:.0f} s") from None
                log.warning("%s; trying again in %.1f s", error, wait)
            self.sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE)
