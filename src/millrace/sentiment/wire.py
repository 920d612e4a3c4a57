"""The HTTP between us and a server of models: bounded answers, and every fault a Failure with a short reason."""

import json
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple, Protocol

import aiohttp
import httpx
from pydantic import SecretStr

from millrace.errors import MillraceError
from millrace.sentiment.answer import shown
from millrace.sentiment.score import Token

LARGEST = 1 << 20  # bytes of an answer that are read
LONGEST = 60.0  # seconds that a server may ask us to wait
_ACCEPTED = "gzip, deflate"  # what aiohttp unpacks anywhere; httpx asks for others, too, where it knows them
_CODING = ("content-encoding", "content-length")  # of what was sent, which is unpacked by then
_LIMITED = (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE)
_OF_ALL = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN, httpx.codes.NOT_FOUND)  # no text will fare better


class Failure(MillraceError):
    """A call that brought no answer.

    `again`: it may be worth another try. `server`: it is the server that fails, not this text. `after`: the seconds
    after which it may be asked again, None where it said nothing. `status` and `told`: the HTTP status and its text.
    """

    def __init__(
        self,
        reason: str,
        *,
        again: bool = False,
        server: bool = True,
        after: float | None = None,
        status: int | None = None,
        told: str = "",
    ) -> None:
        super().__init__(reason)
        self.again, self.server, self.after, self.status, self.told = again, server, after, status, told


class Reply(NamedTuple):
    """What came of one question; `tokens` of question and answer, None if the server does not say."""

    content: str | None
    thinking: str | None
    truncated: str | None  # how the server says that the answer is not whole
    written: Sequence[Token]
    tokens: int | None


Way = Callable[[str], Awaitable[Reply]]  # asks about a text; raises Failure


class Server(Protocol):
    """A server that can be asked in one or more `ways`, each tried where the one before gave no label."""

    @property
    def ways(self) -> Sequence[Way]: ...

    async def close(self) -> None: ...


class Transport(httpx.AsyncBaseTransport):
    """Reads each answer whole; one that is an error, no JSON object or too large is a Failure. Hides the `key`.

    The connections are those of aiohttp: a pool of httpx looks at all of its connections whenever a call begins or
    ends, which takes long with 64 of them. To be made where an event loop runs.
    """

    def __init__(self, key: SecretStr | None = None) -> None:
        self._key = key.get_secret_value() if key else ""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=httpx.create_ssl_context()),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(),  # Question has one for the whole call
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; raises Failure."""
        request.headers["Accept-Encoding"] = _ACCEPTED
        try:
            whole = await self._whole(request)
        except aiohttp.ClientError as error:
            raise Failure(f"server away: {type(error).__name__}", again=True) from None
        if whole.is_success and whole.content.lstrip().startswith(b"{"):
            return whole
        text = whole.text.replace(self._key, "***") if self._key else whole.text
        raise Failure(f"not an answer: {shown(text)}") if whole.is_success else _refused(whole, text)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def _whole(self, request: httpx.Request) -> httpx.Response:
        asking = self._session.request(
            request.method, str(request.url), headers=request.headers, data=request.content, allow_redirects=False
        )
        async with asking as response:
            parts, size = [], 0
            async for part in response.content.iter_any():
                size += len(part)
                if size > LARGEST:
                    raise Failure(f"not an answer: more than {LARGEST:,} bytes", server=False)
                parts.append(part)
            headers = [(name, value) for name, value in response.headers.items() if name.lower() not in _CODING]
            return httpx.Response(response.status, headers=headers, content=b"".join(parts))


def _refused(response: httpx.Response, text: str) -> Failure:
    status = response.status_code
    again = status == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error
    after = retry_after(response.headers.get("Retry-After")) if status in _LIMITED else None
    reason = f"HTTP {status}" + (f": {shown(_message(text))}" if text.strip() else "")
    of_server = again or status in _OF_ALL or not response.is_client_error
    return Failure(reason, again=again, server=of_server, after=after, status=status, told=text)


def _message(text: str) -> str:
    """Return what an error says: the text under `error` as Ollama has it, or `message` in that, as OpenAI; else all."""
    with suppress(ValueError, TypeError, KeyError, RecursionError):
        error = json.loads(text)["error"]
        return str(error if isinstance(error, str) else error["message"])
    return text


def retry_after(value: str | None, now: float | None = None) -> float | None:
    """Return the seconds of a Retry-After, given as such or as a date, at most LONGEST; None if it says nothing.

    RFC 9110, 10.2.3. A date is compared with the clock `now`, seconds since 1970.
    """
    if value is None:
        return None
    seconds: float | None = None
    with suppress(ValueError):
        seconds = float(value) if value.strip().isascii() else None
    if seconds is None:
        with suppress(ValueError, TypeError, OverflowError):
            moment = parsedate_to_datetime(value)
            at = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            seconds = (at - datetime.fromtimestamp(time.time() if now is None else now, UTC)).total_seconds()
    if seconds is None or math.isnan(seconds):
        return None
    return min(max(seconds, 0.0), LONGEST)
