"""Posts as JSON lines on standard output, for a look at a feed without Kafka."""

import sys
import threading
from collections.abc import Sequence

from millrace.ingest.events import Cursor, DeadLetter, Event, Gap


class Printer:
    """A sink that prints the values of events. Delivery: at-most-once, it keeps no cursor."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def open(self, cursor: Cursor | None = None) -> Cursor | None:
        """Begin at `cursor`, or live."""
        return cursor

    def recent(self, limit: int) -> list[str]:
        """Nothing was printed before."""
        return []

    def write(self, items: Sequence[Event | DeadLetter | Gap], cursor: Cursor) -> None:
        """Print one line an event; a reader that went away (`| head`) ends the feed."""
        try:
            for item in items:
                if isinstance(item, Event):
                    sys.stdout.buffer.write(item.value + b"\n")
            sys.stdout.flush()
        except BrokenPipeError:
            self._stop.set()

    def close(self) -> None:
        """Nothing to close."""
