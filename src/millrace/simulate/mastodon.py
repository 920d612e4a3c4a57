"""A double of Mastodon: timelines with its paging, statuses by id, rate limits, streaming, faults, and the truth."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from millrace.simulate import serving
from millrace.simulate import truth as answer
from millrace.simulate.answers import Answers
from millrace.simulate.community import Community, Posts
from millrace.simulate.instance import Instance
from millrace.simulate.posts import Event

PORT = 6009


def serve(community: Community, port: int = PORT, truth_file: Path | None = None) -> None:
    """Serve `community` until SIGTERM or SIGINT; prints `ready http://HOST:PORT` to stderr (port 0: any free one).

    Writes the truth to `truth_file` as JSON lines: of a finite scenario before that line, of an endless one at the
    end, for what was there. Raises Unavailable where the port is taken.
    """
    instance = Instance(community)
    if truth_file and community.count is not None:
        answer.write(truth(community, community.count), truth_file)
    serving.serve(instance, port, "http")
    if truth_file and community.count is None:
        answer.write(truth(community, instance.timelines.made), truth_file)


@contextmanager
def running(
    community: Community, recorded: list[dict[str, Any]] | None = None, port: int = 0
) -> Iterator[tuple[str, Instance]]:
    """Serve `community` from a thread, yield `http://HOST:PORT` and the instance, stop the server at the end."""
    instance = Instance(community, recorded)
    with serving.running(instance, port, "http") as url:
        yield url, instance


def happenings(community: Community, count: int) -> Iterator[Event]:
    """Yield what happens to the first `count` posts, in the shape that the tally of the truth counts."""
    for post in map(Posts(community).at, range(count)):
        kind = "malformed" if post.broken else "create"
        yield Event(post.index, kind, "", post.created, False, {}, post.hashtags)
        for moment, later in ((post.edited, "update"), (post.deleted, "delete")):
            if moment != float("inf") and not post.broken:
                yield Event(post.index, later, "", int(moment), False, {})


def truth(community: Community, count: int) -> Iterator[dict[str, Any]]:
    """Yield the right answer for the first `count` posts: the lines of `simulate.truth`, then those of `Answers`."""
    tally, answers = answer.Tally(), Answers(community)
    for event in happenings(community, count):
        tally.add(event)
    for post in map(Posts(community).at, range(count)):
        answers.add(post)
    yield from tally.lines()
    yield from answers.lines()
