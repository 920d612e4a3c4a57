"""An event loop in a thread of its own, for callers without one, such as Spark's workers, or whose own one runs."""

import asyncio
import functools
import os
import threading

NAME = "sentiment"


def loop() -> asyncio.AbstractEventLoop:
    """Return the loop of this process, which runs until the process ends."""
    return _loop(os.getpid())


@functools.cache
def _loop(process: int) -> asyncio.AbstractEventLoop:  # a fork inherits the loop, but not the thread that runs it
    made = asyncio.new_event_loop()
    threading.Thread(target=made.run_forever, name=NAME, daemon=True).start()
    return made
