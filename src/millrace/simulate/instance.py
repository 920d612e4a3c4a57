"""One instance of the double of Mastodon: what it answers, counts and streams, and the faults that it makes."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import orjson
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State

from millrace.simulate.community import Community, Post, status
from millrace.simulate.timelines import MOST, PAGE, Timelines
from millrace.simulate.truth import fold

TIMELINES, STATUSES, STREAMING, ABOUT = (
    "/api/v1/timelines/",
    "/api/v1/statuses",
    "/api/v1/streaming",
    "/api/v2/instance",
)
BULK = 20  # statuses looked up in one call at most
BLOCK = 1.5  # seconds for which an answer of 429 forbids further calls
STALL = 60.0
BEAT = 0.02  # seconds between two looks for what to stream


class Instance:
    """One instance; `calls` counts answers by status, and as "forbidden" the calls that the limit did not allow.

    `proxy` stands before it: what it returns for a request is the answer, None lets the request pass.
    """

    def __init__(self, community: Community, recorded: list[dict[str, Any]] | None = None) -> None:
        self.community = community
        self.timelines = Timelines(community, recorded)
        self.calls: Counter[str] = Counter()
        self.proxy: Callable[[Request], Response | None] = lambda _: None
        self._draw = random.Random(community.seed)
        self._period, self._used, self._blocked = time.time(), 0, 0.0
        self._frames = 0

    async def refuse(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer what is no WebSocket; None lets a client of the stream pass."""
        if (answer := self.proxy(request)) is not None:
            return answer
        url = urlsplit(request.path)
        if url.path == STREAMING and request.headers.get("Upgrade", "").lower() == "websocket":
            return None if self._knows(request) else self._answer(401, {"error": "Missing access token"})
        if self._draw.random() < self.community.stalled:
            self.calls["stalled"] += 1
            await asyncio.sleep(STALL)
        return self._reply(request, url.path.rstrip("/"), parse_qs(url.query))

    def _reply(self, request: Request, path: str, query: dict[str, list[str]]) -> Response:
        if not self._allows():
            return self._answer(429, {"error": "Too many requests"})
        if not self._knows(request) or self._happens(self.community.unauthorized):
            return self._answer(401, {"error": "The access token is invalid"})
        if self._happens(self.community.broken_answers):
            return self._answer(500, {"error": "Something went wrong"})
        return self._found(path, query) or self._answer(404, {"error": "Record not found"})

    def _found(self, path: str, query: dict[str, list[str]]) -> Response | None:
        if path == ABOUT:
            return self._answer(200, self._about())
        if path.startswith(TIMELINES):
            return self._timeline(unquote(path.removeprefix(TIMELINES)), query)
        if path.startswith(STATUSES):
            return self._statuses(path.removeprefix(STATUSES).strip("/"), query)
        return None

    def _allows(self) -> bool:
        """Count a call; False where it is one too many."""
        now = time.time()
        if now >= self._period + self.community.period:
            self._period, self._used = now, 0
        self._used += 1
        if now < self._blocked or self._used > self.community.limit:
            self.calls["forbidden"] += 1
            return False
        if self._happens(self.community.too_many):
            self._blocked = now + BLOCK
            return False
        return True

    def _happens(self, fraction: float) -> bool:
        return self._draw.random() < fraction

    def _knows(self, request: Request) -> bool:
        return self.community.token is None or request.headers.get("Authorization") == f"Bearer {self.community.token}"

    def _answer(self, code: int, body: object, link: str | None = None) -> Response:
        self.calls[str(code)] += 1
        blocked = self._blocked > time.time()
        reset = datetime.fromtimestamp(self._blocked if blocked else self._period + self.community.period, UTC)
        data = orjson.dumps(body)
        headers = Headers(
            {
                "Content-Type": "application/json; charset=utf-8",
                "Content-Length": str(len(data)),
                "Connection": "close",
                "Date": formatdate(usegmt=True),
                "X-RateLimit-Limit": str(self.community.limit),
                "X-RateLimit-Remaining": "0" if blocked else str(max(0, self.community.limit - self._used)),
                "X-RateLimit-Reset": reset.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            }
        )
        if link:
            headers["Link"] = link
        return Response(code, HTTPStatus(code).phrase, headers, data)

    def _about(self) -> dict[str, Any]:
        access = "disabled" if self.community.closed else "public"
        feeds = {"local": access, "remote": access}
        known = {"live_feeds": feeds, "hashtag_feeds": feeds, "trending_link_feeds": feeds}
        return {"domain": "mill.example", "version": "4.5.0", "configuration": {"timelines_access": known, "urls": {}}}

    def _timeline(self, name: str, query: dict[str, list[str]]) -> Response:
        kind, _, tag = name.partition("/")
        if kind not in ("public", "tag"):
            return self._answer(404, {"error": "Record not found"})
        least, since, most = (int(query.get(key, ["0"])[0]) for key in ("min_id", "since_id", "max_id"))
        limit = min(MOST, int(query.get("limit", [str(PAGE)])[0]))
        page = self.timelines.page(
            tag, limit=limit, above=max(least, since), below=most or 2**63, forward="min_id" in query
        )
        if self.community.closed or self._happens(self.community.empty):
            self.calls["emptied"] += 1
            page = []
        return self._answer(200, self._disturbed(page), _link(name, page))

    def _disturbed(self, page: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Repeat and reorder as the scenario says."""
        again = [each for each in page if self._happens(self.community.duplicates)]
        page = page + again
        if self.community.reorder:
            self._draw.shuffle(page)
        return page

    def _statuses(self, one: str, query: dict[str, list[str]]) -> Response:
        wanted = [one] if one else query.get("id[]", [])
        if len(wanted) > BULK:
            return self._answer(422, {"error": "Validation failed: too many ids"})
        found = self.timelines.statuses([int(each) for each in wanted if each.isdigit()])
        if one:
            return self._answer(200, found[0]) if found else self._answer(404, {"error": "Record not found"})
        return self._answer(200, found)

    async def handle(self, socket: ServerConnection) -> None:
        """Stream what happens from now on to one client until it leaves."""
        assert socket.request is not None
        query = parse_qs(urlsplit(socket.request.path).query)
        self.timelines.now()
        frames = self._stream(query.get("stream", ["public"])[0], query.get("tag", [""])[0], len(self.timelines.log))
        count = 0
        with suppress(ConnectionClosed):
            while True:
                for frame in next(frames):
                    await socket.send(frame)
                    count, self._frames = count + 1, self._frames + 1
                    if count == self.community.drop_every:
                        return
                    if self._frames == self.community.silent_after:
                        await socket.wait_closed()
                await asyncio.sleep(BEAT)
                if socket.state is not State.OPEN:
                    return

    def _stream(self, stream: str, tag: str, place: int) -> Iterator[list[str]]:
        wanted = fold(tag)
        while True:
            self.timelines.now()
            news = self.timelines.log[place:]
            place += len(news)
            found = [_frame(stream, each) for each in news if not wanted or each[1] == "delete" or each[2].has(wanted)]
            yield [frame for each in found for frame in [each] * (1 + self._happens(self.community.duplicates))]


def _frame(stream: str, happening: tuple[int, str, Post]) -> str:
    moment, event, post = happening
    payload = str(post.id) if event == "delete" else orjson.dumps(status(post, moment)).decode()
    return orjson.dumps({"stream": [stream], "event": event, "payload": payload}).decode()


def _link(name: str, page: list[dict[str, Any]]) -> str | None:
    if not page:
        return None
    base = f"https://mill.example{TIMELINES}{quote(name)}"
    return f'<{base}?max_id={page[-1]["id"]}>; rel="next", <{base}?min_id={page[0]["id"]}>; rel="prev"'
