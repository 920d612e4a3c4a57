"""Find out which posts are gone: those that a page should show and does not, and those that no lookup finds.

Nobody can take back a delete that was published by mistake, and a proxy, a firewall or an instance that was just
closed may say of every post that it is not there. So only an answer of the API itself counts, another post must be
there at that moment, and a mass of deletes must be told twice.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from millrace.errors import Unavailable
from millrace.ingest.events import Clock
from millrace.ingest.mastodon.instance import BULK, PAGE, Instance
from millrace.ingest.mastodon.memory import Memory
from millrace.ingest.mastodon.snowflakes import id_of, order

MASS = 10  # so many gone posts within DOUBT, and more than are there, are doubted
DOUBT = 600.0  # seconds until what is doubted is asked again
TALLIED = 1000  # lookups that are compared
ASKED = 3  # posts that are asked for where none is found


class Absences:
    """Asks `instance` for posts of `memory` that were not shown; `say` takes a line, `timer` is monotonic."""

    def __init__(
        self, instance: Instance, memory: Memory, say: Callable[[str], None], timer: Clock = time.monotonic
    ) -> None:
        self._instance, self._memory, self._say, self._timer = instance, memory, say, timer
        self._doubted: dict[str, float] = {}  # id and when it is asked again, the earliest first
        self._tally: deque[tuple[float, int, int]] = deque(maxlen=TALLIED)  # time, posts that are there, gone ones
        self._said: float | None = None

    def absent(self, after: str, page: Sequence[Any], until: str) -> list[str]:
        """Return the known ids beyond `after`, up to `until` at most, that a page should show but does not."""
        ids = {found for each in page if (found := id_of(each))}
        last = min(order(until), max(map(order, ids))) if ids and len(page) >= PAGE else order(until)
        known = self._memory.between(order(after), last)
        return [each for each in known if each not in ids and each not in self._doubted]

    def missing(self, ids: Sequence[str], shown: int) -> list[str]:
        """Return those of `ids` that are gone; a page that `shown` others left them out, most may be on another."""
        gone: list[str] = []
        for start in range(0, len(ids), BULK):
            some = ids[start : start + BULK]
            found = self._find(some)
            if found is None:
                break
            gone += self.confirm([each for each in some if each not in found], len(found), shown)
        return gone

    def confirm(self, ids: Sequence[str], found: int, shown: int = 0) -> list[str]:
        """Return those of `ids` that are gone, where a lookup of them and others found `found`."""
        gone = self._ask(ids)
        self._tally.append((self._timer(), found + shown, len(gone)))
        if not gone or (not self._is_mass() and (found or self._shows_another(gone))):
            return gone
        self._doubt(gone)
        self._tell(len(gone))
        return []

    def again(self) -> list[str]:
        """Return what was doubted ten minutes ago and is still gone, while another post is there."""
        now = self._timer()
        due = list(islice((each for each, when in self._doubted.items() if when <= now), BULK))
        found = self._find(due) if due else None
        if found is None:
            return []
        for each in due:
            del self._doubted[each]
        gone = self._ask([each for each in due if each not in found and self._memory.uri(each)])
        if not gone or found or self._shows_another(gone):
            return gone
        self._doubt(gone)
        return []

    def _find(self, ids: Sequence[str]) -> set[str | None] | None:
        """Return those of at most 20 ids that a lookup finds, None where none can be made now."""
        if not self._instance.has_spare():
            return None
        try:
            return {id_of(each) for each in self._instance.statuses(ids)}
        except Unavailable:
            return None

    def _ask(self, ids: Sequence[str]) -> list[str]:
        """Return those of `ids` that the instance, asked for each, says are gone; what cannot be asked waits."""
        gone: list[str] = []
        for number, each in enumerate(ids):
            if not self._memory.uri(each):
                continue
            try:
                is_gone = self._instance.is_gone(each) if self._instance.has_spare() else None
            except Unavailable:
                is_gone = None
            if is_gone is None:
                self._doubt(ids[number:])
                break
            gone += [each] if is_gone else []
        return gone

    def _is_mass(self) -> bool:
        recent = [each for each in self._tally if each[0] > self._timer() - DOUBT]
        there, gone = sum(each[1] for each in recent), sum(each[2] for each in recent)
        return gone >= MASS and gone > there

    def _shows_another(self, gone: Sequence[str]) -> bool:
        """Return whether the instance shows one of the newest posts that are not in doubt, if any is known."""
        known = self._memory.newest(BULK, {*gone, *self._doubted})
        if not known or self._find(known):
            return True
        asked = known[:ASKED]  # a server that cannot look up several finds none of them
        try:
            there = any(not self._instance.is_gone(each) for each in asked)
        except Unavailable:
            return False
        if not there:
            self._doubt(asked)
        return there

    def _doubt(self, ids: Sequence[str]) -> None:
        for each in ids:
            self._doubted.setdefault(each, self._timer() + DOUBT)

    def _tell(self, count: int) -> None:
        now = self._timer()
        if self._said is None or now - self._said >= DOUBT:
            self._said = now
            self._say(
                f"{self._instance.name}: says of {count} posts at once that they are gone: not believed until it says "
                f"so again in {DOUBT:.0f} s"
            )
