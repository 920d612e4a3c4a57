"""The last good case numbers, asked for again now and then beside a stream that never waits for them."""

import threading
import time
from collections.abc import Callable

from millrace.cases import snapshot
from millrace.cases.rows import WORLD, Row, of_country, row
from millrace.cases.source import Load
from millrace.errors import BadRecord, ConfigError, Unavailable


class Latest:
    """The numbers of `country` as `load` gives them, asked for at most every `every` seconds.

    What cannot be read is told to `say` once, until it can be read again; meanwhile the last good numbers stay, with
    their date: at first those of the package. Safe for several threads. `clock` is monotonic.
    """

    def __init__(
        self,
        load: Load,
        every: float,
        country: str = WORLD,
        *,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask once, and wait for it; raises ConfigError where `load` knows no such country."""
        self._load, self._every, self._country = load, every, country
        self._say, self._clock = say, clock
        self._lock = threading.Lock()
        self._asking: threading.Thread | None = None
        self._warned = False
        self._good = _packaged(country)
        self._asked = clock()
        try:
            self._good = self._fresh()
        except (Unavailable, BadRecord) as error:
            self._warn(error)

    def row(self) -> Row:
        """Return the last good numbers at once; where it is time, others are asked for meanwhile."""
        with self._lock:
            if self._clock() - self._asked >= self._every and not (self._asking and self._asking.is_alive()):
                self._asked = self._clock()
                self._asking = threading.Thread(target=self._ask, name="case-numbers", daemon=True)
                self._asking.start()
            return self._good

    def _fresh(self) -> Row:
        return of_country(self._load(), self._country)

    def _ask(self) -> None:
        try:
            self._good = self._fresh()
            self._warned = False
        except (Unavailable, BadRecord, ConfigError) as error:
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._say(f"{error}; the numbers of {self._good.as_of} stay ({self._good.source_url})")
        self._warned = True


def _packaged(country: str) -> Row:
    """Return the numbers of the package, all of them unknown for a country that it does not have."""
    rows = snapshot.packaged()
    try:
        return of_country(rows, country)
    except ConfigError:
        return row(country, {}, rows[0].as_of, rows[0].source_url)
