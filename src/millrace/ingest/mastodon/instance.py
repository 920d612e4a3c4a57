"""Call one Mastodon instance through Mastodon.py, never more often than its rate limit allows.

The limit is in the headers X-RateLimit-Limit, -Remaining and -Reset (docs.joinmastodon.org/api/rate-limits).
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import requests
from mastodon import Mastodon
from mastodon.errors import (
    MastodonAPIError,
    MastodonError,
    MastodonNetworkError,
    MastodonNotFoundError,
    MastodonRatelimitError,
)

from millrace.errors import BadRecord, ConfigError, Unavailable
from millrace.ingest.events import Clock
from millrace.ingest.mastodon.pages import documents

PAGE = 40  # statuses per page at most
BULK = 20  # statuses that can be looked up in one call
RESERVE = 2  # calls that are left to others with the same address
PERIOD = 300.0  # seconds after which a limit is lifted, if the server does not say when
STRIKES = 4  # refusals in a row after which a token is given up: one may be a hiccup
REFUSED = (401, 403, 422)


class LimitReached(Unavailable):
    """The rate limit allows no call for `delay` seconds."""

    def __init__(self, host: str, delay: float) -> None:
        super().__init__(
            f"{host}: its rate limit is reached; next call in {delay:.0f} s (a longer --every needs fewer)"
        )
        self.delay = delay


class _Session(requests.Session):
    """Keeps the body of the last answer, because Mastodon.py's own objects do not hold it as it came."""

    body, ok = b"", False

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        response = super().request(*arguments, **options)
        self.body, self.ok = response.content, response.ok
        return response


class _Client(Mastodon):
    """Does not ask before each page whether the timeline is open; `Instance.closed` does so once."""

    def timeline_is_available(self, *_: Any, **__: Any) -> bool:
        return True


class _Broken(Unavailable):
    """The server answered, but with an error of its own or with something other than JSON."""


class Instance:
    """Calls the instance at `url`, one call at a time, from any thread; `timeout` in seconds is for each answer.

    All calls raise LimitReached before the rate limit is exceeded, Unavailable when the instance does not answer, and
    ConfigError when it goes on refusing the token, or wants one.
    """

    def __init__(self, url: str, token: str | None = None, timeout: float = 10.0, clock: Clock = time.time) -> None:
        self.url, self.name, self._token, self._clock = url.rstrip("/"), urlsplit(url).netloc, token, clock
        self._session = _Session()
        self._client = _Client(
            access_token=token,
            api_base_url=self.url,
            session=self._session,
            ratelimit_method="throw",
            request_timeout=timeout,
            user_agent="millrace",
        )
        self._lock = threading.Lock()
        self._strikes = 0
        self._blocked = 0.0  # no call before this time
        self._about: Any = None

    def timeline(self, path: str, **page: Any) -> list[Any]:
        """Return one page of `path` (`public`, `local` or `tag/NAME`), newest first, as it came."""
        found = self._ask(lambda: self._client.timeline(path, limit=PAGE, **page))
        return found if isinstance(found, list) else []

    def statuses(self, ids: Sequence[str]) -> list[Any]:
        """Return those of at most 20 statuses that still exist."""
        found = self._ask(lambda: self._client.statuses(list(ids)))
        return found if isinstance(found, list) else []

    def is_gone(self, status_id: str) -> bool:
        """Return whether the instance says that there is no such status."""
        return self._ask(lambda: self._client.status(status_id)) is None

    def closed(self, path: str) -> bool:
        """Return whether the instance's description of itself says that the timeline is closed to us."""
        access = _within(
            self._describe(), "configuration", "timelines_access", "hashtag_feeds" if "/" in path else "live_feeds"
        )
        allowed = ("public", "authenticated") if self._token else ("public",)
        kinds = ("local",) if path == "local" else ("local", "remote")
        return isinstance(access, dict) and not any(access.get(kind, "public") in allowed for kind in kinds)

    def streaming_url(self) -> str:
        """Return the WebSocket URL of the streaming server."""
        told = _within(self._describe(), "configuration", "urls", "streaming")
        base = (
            told
            if isinstance(told, str) and told.startswith(("ws://", "wss://"))
            else "ws" + self.url.removeprefix("http")
        )
        return base.rstrip("/") + "/api/v1/streaming"

    @property
    def headers(self) -> list[str]:
        """The headers that a WebSocket handshake needs."""
        return [f"Authorization: Bearer {self._token}"] if self._token else []

    def pace(self, every: float, callers: int) -> float:
        """Return the seconds, at least `every`, that one of `callers` must leave between its calls.

        So all of them stay within the rate limit until it is lifted.
        """
        left = self._left()
        if left is None:
            return every
        seconds, calls = left
        return max(every, callers * seconds / max(1, calls - RESERVE))

    def has_spare(self) -> bool:
        """Return whether more than half of the calls are left, so that calls that are not urgent may be made."""
        left = self._left()
        return left is None or left[1] * 2 > self._client.ratelimit_limit

    def refuse(self, status: int) -> None:
        """Count a refusal of the token; raises ConfigError after several in a row, else Unavailable."""
        self._strikes += 1
        what = f"{self.name}: refused with HTTP status {status}"
        if self._strikes < STRIKES:
            raise Unavailable(what)
        if self._token:
            raise ConfigError(f"{what}: the access token is not accepted; make one under Preferences > Development"
                              " on the instance and set MILLRACE_MASTODON_ACCESS_TOKEN")  # fmt: skip
        raise ConfigError(
            f"{what}: this needs an access token; set MILLRACE_MASTODON_ACCESS_TOKEN (for the first instance)"
        )

    def accept(self) -> None:
        """Note that the token was accepted, which ends a row of refusals."""
        self._strikes = 0

    def _describe(self) -> Any:
        if self._about is None:
            self._about = self._ask(self._client.instance_v2) or {}  # an older server does not know it
        return self._about

    def _left(self) -> tuple[float, int] | None:
        """Return the seconds until the rate limit is lifted and the calls left until then, None if unknown."""
        reset, remaining = self._client.ratelimit_reset, self._client.ratelimit_remaining
        if reset is None or reset <= self._clock() or remaining is None:
            return None
        return reset - self._clock(), int(remaining)

    def _ask(self, call: Callable[[], object]) -> Any:
        """Return the JSON of the answer, None for HTTP status 404; after a broken answer the call is repeated once.

        Without that, a reader that is many pages on would begin again for one of them.
        """
        try:
            return self._answer(call)
        except _Broken:
            return self._answer(call)

    def _answer(self, call: Callable[[], object]) -> Any:
        with self._lock:
            self._check()
            self._session.ok = False
            try:
                call()
            except MastodonNotFoundError:
                return None
            except MastodonRatelimitError:
                left = self._left()
                self._blocked = self._clock() + (left[0] if left else PERIOD)
                raise LimitReached(self.name, self._blocked - self._clock()) from None
            except MastodonNetworkError as error:
                raise Unavailable(f"{self.name}: {_cause(error)}") from None
            except MastodonError as error:
                if not self._session.ok:  # else the library cannot read the answer, which has no say in that
                    self._explain(error)
            self.accept()
            return self._documents()

    def _documents(self) -> Any:
        try:
            return documents(self._session.body)
        except BadRecord:
            raise _Broken(f"{self.name}: an answer that is no JSON") from None

    def _check(self) -> None:
        left = self._left()
        delay = max(self._blocked - self._clock(), left[0] if left and left[1] <= RESERVE else 0.0)
        if delay > 0:
            raise LimitReached(self.name, delay)

    def _explain(self, error: MastodonError) -> None:
        status = error.args[1] if isinstance(error, MastodonAPIError) and len(error.args) > 3 else None
        if status in REFUSED:
            self.refuse(status)
        raise _Broken(f"{self.name}: " + (f"HTTP status {status}" if status else "an answer that is no JSON")) from None


def _within(document: Any, *keys: str) -> Any:
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _cause(error: Exception) -> str:
    """Return in few words what the libraries say in many."""
    text = str(error)
    known = {
        "timed out": "no answer in time",
        "refused": "connection refused",
        "resolve": "no such host",
        "aborted": "connection lost",
    }
    return next((words for part, words in known.items() if part in text), "the connection failed")
