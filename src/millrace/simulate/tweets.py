"""A generator of tweets on a WebSocket: several clients at once, no replay, faults, and the truth."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from millrace.simulate import serving
from millrace.simulate import truth as answer
from millrace.simulate.feed import Feed, Message
from millrace.simulate.scenario import rfc3339
from millrace.simulate.talk import Talk, Tweet, Tweets
from millrace.simulate.wires import encode

PORT = 5555
PING = 20.0  # seconds; so a client can tell a quiet generator from a dead one


class Generator(Feed[Tweet]):
    """The first client hears the talk from its start, any other from now on: what nobody hears is gone.

    At speed 0 the talk waits while nobody listens. Nobody is asked who he is, and what clients send is ignored.
    """

    def __init__(self, talk: Talk, ended: Callable[[], None] = lambda: None) -> None:
        super().__init__(talk, Tweets(talk))
        self.talk = talk
        self._ended = ended
        self._heard = bytearray()  # by index: whether it was sent to anybody

    def refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        """Let everybody in."""

    async def handle(self, socket: ServerConnection) -> None:
        """Serve one client until it leaves."""
        async with asyncio.TaskGroup() as group:
            pings = group.create_task(_ping(socket))
            sender = group.create_task(self._tell(socket, pings))
            with suppress(ConnectionClosed):
                async for _ in socket:
                    pass
            for task in (sender, pings):
                task.cancel()

    async def _tell(self, socket: ServerConnection, pings: "asyncio.Task[None]") -> None:
        if await self.send(socket, self.head() if self.frontier else 0, self._message):
            self._ended()
        else:
            pings.cancel()  # the connection ended, or is to look dead

    def _message(self, tweet: Tweet) -> Message:
        self._heard.extend(bytes(max(0, tweet.index + 1 - len(self._heard))))
        self._heard[tweet.index] = True
        return encode(tweet, self.talk.wire), True

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield the right answer: a line of `kind` summary, then one a tweet that may be read, in the order of sending.

        The summary has `tweets` (those that follow), `late` (those of them 30 to 60 minutes before the start), `empty`
        (nothing is left of their text), `malformed`, and how many of each were sent to anybody (`sent_empty`, ...).
        A tweet has id, event_time, late, sent, language, author (its id), text (cleaned), bare (that without links
        and mentions) and hashtags (normalised, sorted).
        """
        count = len(self._heard) if self.talk.count is None else self.talk.count
        tweets = [self.events.at(index) for index in range(count)]
        kinds: dict[str, list[Tweet]] = {"tweets": [], "empty": [], "malformed": []}
        for each in tweets:
            kinds["malformed" if each.broken is not None else "tweets" if each.text else "empty"].append(each)
        yield {
            "kind": "summary",
            **{kind: len(found) for kind, found in kinds.items()},
            **{f"sent_{kind}": sum(map(self._was_sent, found)) for kind, found in kinds.items()},
            "late": sum(each.late for each in kinds["tweets"]),
        }
        for tweet in kinds["tweets"]:
            yield {
                "id": tweet.id,
                "event_time": rfc3339(tweet.time_us, "microseconds"),
                "late": tweet.late,
                "sent": self._was_sent(tweet),
                "language": tweet.language,
                "author": str(tweet.author),
                "text": tweet.text,
                "bare": tweet.bare,
                "hashtags": sorted(set(map(answer.fold, tweet.hashtags))),
            }

    def _was_sent(self, tweet: Tweet) -> bool:
        return tweet.index < len(self._heard) and bool(self._heard[tweet.index])


async def _ping(socket: ServerConnection) -> None:
    with suppress(ConnectionClosed):
        while True:
            await asyncio.sleep(PING)
            await socket.ping()


def serve(talk: Talk, port: int = PORT, truth: Path | None = None) -> None:
    """Serve `talk` until SIGTERM or SIGINT; prints `ready ws://HOST:PORT` to stderr, and how to read it.

    Writes the truth to `truth` as JSON lines when a client heard the last tweet, and again at the end: what was sent is
    known only then. Raises Unavailable where the port is taken.
    """
    generator = _generator(talk, truth)
    serving.serve(generator, port, "ws", hint="millrace ingest tweets --print --url URL\n")
    if truth:
        answer.write(generator.lines(), truth)


@contextmanager
def running(talk: Talk, truth: Path | None = None, port: int = 0) -> Iterator[tuple[str, Generator]]:
    """Serve `talk` from a thread, yield `ws://HOST:PORT` and the generator, stop the server at the end."""
    generator = _generator(talk, truth)
    with serving.running(generator, port, "ws") as url:
        yield url, generator
    if truth:
        answer.write(generator.lines(), truth)


def archive(talk: Talk) -> Iterator[bytes]:
    """Yield the frames of a finite talk, those that are sent twice twice: a file of them has one a line."""
    tweets = Tweets(talk)
    for index in range(talk.count or 0):
        yield from [encode(tweets.at(index), talk.wire)] * (1 + tweets.copies(index))


def _generator(talk: Talk, truth: Path | None) -> Generator:
    generator = Generator(talk, ended=lambda: answer.write(generator.lines(), truth) if truth else None)
    return generator
