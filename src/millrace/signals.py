"""Handle SIGTERM, SIGHUP and Ctrl-C in commands without Spark, so that they finish what they began."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

ENDING = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def signalled(stop: threading.Event) -> Iterator[None]:
    """Set `stop` on SIGTERM or Ctrl-C during the block, in the main thread."""
    with _handled(ENDING, lambda *_: stop.set()):
        yield


@contextmanager
def ignored() -> Iterator[None]:
    """Ignore SIGTERM, Ctrl-C and SIGHUP (the terminal's end) during the block."""
    with _handled((*ENDING, signal.SIGHUP), signal.SIG_IGN):
        yield


def interrupt(*numbers: signal.Signals) -> None:
    """Let the signals `numbers` raise KeyboardInterrupt from now on, as Ctrl-C does."""
    for number in numbers:
        signal.signal(number, signal.default_int_handler)


@contextmanager
def _handled(numbers: tuple[signal.Signals, ...], handler: Callable[..., Any] | signal.Handlers) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
