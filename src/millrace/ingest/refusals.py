"""When a refusal is final: a token that never worked is wrong, one that worked may be refused by accident."""

import time

from millrace.ingest.events import Clock

PATIENCE = 600.0  # seconds for which a token that once worked is tried again


class Refusals:
    """Refusals of a token, in a row; `strikes` of them end it if it never worked. `timer` is monotonic.

    Count only what the service itself says of the token: a proxy or a firewall may refuse anything for a while.
    """

    def __init__(self, strikes: int = 1, timer: Clock = time.monotonic) -> None:
        self._strikes, self._timer = strikes, timer
        self._worked = False
        self._count, self._since = 0, 0.0

    def accept(self) -> None:
        """Note that the token was accepted, which ends a row of refusals."""
        self._worked, self._count = True, 0

    def refuse(self) -> bool:
        """Count a refusal; returns whether it is final."""
        if self._count == 0:
            self._since = self._timer()
        self._count += 1
        return self._timer() - self._since >= PATIENCE if self._worked else self._count >= self._strikes
