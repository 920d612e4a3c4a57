"""Records written into a topic at a pace, while something else goes wrong."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from millrace.config import Settings
from tests.support import producer


@contextmanager
def telling(
    settings: Settings, topic: str, records: Iterable[dict[str, Any]], per_second: int = 100
) -> Iterator[Callable[[], None]]:
    """Write `records`, each what the producer takes, at a pace; the function given writes what is left at once."""
    hurry = threading.Event()

    def work() -> None:
        with producer(settings.kafka_bootstrap) as writer:
            for number, each in enumerate(records):
                if number % (per_second // 10) == 0:
                    hurry.wait(0.1)
                writer.send(topic, **each)
            writer.flush()

    thread = threading.Thread(target=work)
    thread.start()

    def finish() -> None:
        hurry.set()
        thread.join()

    try:
        yield finish
    finally:
        finish()
