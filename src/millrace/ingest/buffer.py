"""Between the reader thread and the committing loop: a bounded buffer and the window of recent ids."""

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable

from millrace.ingest.events import DeadLetter, Entry, Event

ITEMS = 20_000
BYTES = 64 << 20
RECENT = 50_000


class Buffer:
    """A queue bounded in items and bytes; a full one makes `put` wait, which holds the feed back."""

    def __init__(self, items: int = ITEMS, size: int = BYTES) -> None:
        self._limit, self._bytes_limit = items, size
        self._items: deque[Entry] = deque()
        self._bytes = 0
        self._space = threading.Condition()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Entry, timeout: float = 0.0) -> bool:
        """Append `item` and return True, or False when there was no space for `timeout` seconds."""
        with self._space:
            if self._full() and not self._space.wait_for(lambda: not self._full(), timeout):
                return False
            self._items.append(item)
            self._bytes += _size(item)
            return True

    def take(self, limit: int) -> list[Entry]:
        """Remove and return the first items, at most `limit`."""
        with self._space:
            taken = [self._items.popleft() for _ in range(min(limit, len(self._items)))]
            self._bytes -= sum(map(_size, taken))
            self._space.notify_all()
            return taken

    def _full(self) -> bool:
        return len(self._items) >= self._limit or self._bytes >= self._bytes_limit


def _size(item: Entry) -> int:
    if isinstance(item, Event):
        return len(item.value)
    return len(item.head) if isinstance(item, DeadLetter) else 0


class Window:
    """The last `limit` event ids: what the provider sends again is dropped here, where that is cheap."""

    def __init__(self, ids: Iterable[str] = (), limit: int = RECENT) -> None:
        self._limit = limit
        self._ids: OrderedDict[str, None] = OrderedDict()
        for event_id in ids:
            self.add(event_id)

    def add(self, event_id: str) -> bool:
        """Remember `event_id`; False when it was known."""
        if event_id in self._ids:
            return False
        self._ids[event_id] = None
        if len(self._ids) > self._limit:
            self._ids.popitem(last=False)
        return True
