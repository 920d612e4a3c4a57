"""A double of Bluesky's Jetstream: a scenario on its wire, v1 and v2, with cursors, filters and faults."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from millrace.simulate import serving
from millrace.simulate import truth as answer
from millrace.simulate.feed import Jetstream
from millrace.simulate.scenario import Scenario

HOST, PORT = serving.HOST, 6008


def serve(scenario: Scenario, host: str = HOST, port: int = PORT, truth: Path | None = None) -> None:
    """Serve `scenario` until SIGTERM or SIGINT, also after its last frame: clients may come back and replay.

    Prints `ready ws://HOST:PORT` to stderr (port 0: any free one). Writes the truth to `truth` as JSON lines:
    of a finite scenario before that line, of an endless one at the end, for what was sent. Raises Unavailable
    where the port is taken.
    """
    with _answered(Jetstream(scenario), truth) as feed:
        serving.serve(feed, port, "ws", host)


@contextmanager
def running(scenario: Scenario, truth: Path | None = None, port: int = 0) -> Iterator[str]:
    """Serve `scenario` from a thread of this process, yield `ws://HOST:PORT`, stop the server at the end."""
    with _answered(Jetstream(scenario), truth) as feed, serving.running(feed, port, "ws") as url:
        yield url


@contextmanager
def _answered(feed: Jetstream, truth: Path | None) -> Iterator[Jetstream]:
    """Write the truth as soon as it is known."""
    if truth and feed.scenario.count is not None:
        answer.write(answer.truth(feed.scenario), truth)
    yield feed
    if truth and feed.scenario.count is None:
        answer.write(feed.tally.lines(), truth)
