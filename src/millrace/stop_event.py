"""SIGTERM and Ctrl-C as an event, for commands without Spark: what was begun is finished."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def signalled(stop: threading.Event) -> Iterator[None]:
    """Set `stop` at either signal, in the main thread, until the end of the block."""
    before = {each: signal.signal(each, lambda *_: stop.set()) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
