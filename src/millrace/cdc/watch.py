"""Look at the copy again and again, once for all who want to know, and remember how far behind it was."""

import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

from millrace import config
from millrace.cdc.state import State, look
from millrace.config import Settings

EVERY = 2.0  # seconds between two looks at most
KEPT = 900  # looks that are remembered: half an hour, while somebody looks


@dataclass(frozen=True)
class Moment:
    """How far behind the copy was at a moment: seconds, and bytes of log that were not confirmed; None: not known."""

    at: datetime
    seconds: float | None
    unread: int | None


@dataclass
class Watch:
    """Looks for all threads that ask; `settings` says where, anew each time: servers come and go."""

    settings: Settings
    anew: bool = True
    past: deque[Moment] = field(default_factory=lambda: deque(maxlen=KEPT))
    _state: State | None = None
    _looked: float = 0.0
    _lock: Lock = field(default_factory=Lock)

    def now(self) -> State:
        """Return the state of now, or of a moment ago."""
        with self._lock:
            if self._state is None or time.monotonic() - self._looked > EVERY:
                settings = config.load(home=self.settings.home) if self.anew else self.settings
                self._state = found = look(settings)
                self._looked = time.monotonic()
                self.past.append(Moment(found.at, found.behind, found.slot.unread if found.slot else None))
            return self._state
