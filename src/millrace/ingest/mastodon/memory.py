"""Remember an instance's posts: which ids were shown, and when to look at them again."""

import heapq
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Sequence
from itertools import islice

from millrace.ingest.events import SECOND, Clock

KNOWN = 50_000  # statuses; a delete in the stream has the id alone
WAITING = 200_000  # revisits, the same share for each delay: long ones would crowd out the short ones
TOLD_EVERY = 600.0  # seconds
TARDY = 600 * SECOND  # microseconds; a revisit that is overdue by more is not made


class Memory:
    """The last statuses of an instance, for all its readers; `delays` are seconds from creation to a revisit.

    `timer` is monotonic: a revisit is waited for by it, whatever happens to the wall clock meanwhile.
    """

    def __init__(self, delays: Sequence[float] = (), timer: Clock = time.monotonic) -> None:
        self._timer = timer
        self._delays = [int(delay * SECOND) for delay in delays]
        self._share = WAITING // max(1, len(delays))
        self._lock = threading.Lock()
        self._uris: OrderedDict[str, str] = OrderedDict()
        self._waiting: list[list[tuple[float, int, str]]] = [[] for _ in delays]  # by the timer, due time, id
        self._lost, self._told = 0, -math.inf  # revisits that had no room, and when that was told last
        self._letters: OrderedDict[str, None] = OrderedDict()

    def add(self, status_id: str, uri: str, created: int, now: int) -> None:
        """Remember a post and when to revisit it; times are in microseconds."""
        with self._lock:
            if status_id in self._uris:
                return
            self._uris[status_id] = uri
            if len(self._uris) > KNOWN:
                self._uris.popitem(last=False)
            for delay, waiting in zip(self._delays, self._waiting, strict=True):
                due = created + delay
                if due <= now - TARDY:
                    continue
                if len(waiting) >= self._share:
                    self._lost += 1
                    continue
                heapq.heappush(waiting, (self._timer() + (due - now) / SECOND, due, status_id))

    def uri(self, status_id: str) -> str | None:
        """Return the URI of a post, None if it is not known."""
        return self._uris.get(status_id)

    def newest(self, count: int, but: Collection[str] = ()) -> list[str]:
        """Return the ids of the posts that were remembered last and are none of `but`, the newest first."""
        with self._lock:
            return list(islice((each for each in reversed(self._uris) if each not in but), count))

    def forget(self, status_id: str) -> None:
        """Remove a post that is gone."""
        with self._lock:
            self._uris.pop(status_id, None)

    def between(self, first: tuple[int, str], last: tuple[int, str]) -> list[str]:
        """Return the known ids whose sort keys (length, id) lie between two keys, the last one included."""
        with self._lock:
            return [each for each in self._uris if first < (len(each), each) <= last]

    def is_new_letter(self, name: str) -> bool:
        """Return whether a broken status was not seen before: pages are read more than once, and counters grow."""
        with self._lock:
            known = name in self._letters
            self._letters[name] = None
            if len(self._letters) > KNOWN:
                self._letters.popitem(last=False)
            return not known

    def lost(self) -> int:
        """Return how many revisits had no room since this was last more than 0: every ten minutes at most."""
        with self._lock:
            if not self._lost or self._timer() - self._told < TOLD_EVERY:
                return 0
            lost, self._lost, self._told = self._lost, 0, self._timer()
            return lost

    def take(self, count: int) -> list[tuple[int, str]]:
        """Remove and return (due time, id) of the posts to revisit now, those that wait longest, at most `count`."""
        with self._lock:
            taken: list[tuple[int, str]] = []
            while len(taken) < count:
                first = min(filter(None, self._waiting), key=lambda waiting: waiting[0], default=None)
                if first is None or first[0][0] > self._timer():
                    break
                taken.append(heapq.heappop(first)[1:])
            return taken

    def put_back(self, taken: Sequence[tuple[int, str]]) -> None:
        """Put back what was taken but could not be revisited."""
        with self._lock:
            for due, status_id in taken:
                heapq.heappush(self._waiting[0], (self._timer(), due, status_id))
