"""Call one Mastodon instance through Mastodon.py, never more often than its rate limit allows."""

import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from mastodon.errors import (
    MastodonAPIError,
    MastodonError,
    MastodonNetworkError,
    MastodonNotFoundError,
    MastodonRatelimitError,
)

from millrace.errors import BadRecord, ConfigError, Unavailable
from millrace.ingest.addresses import address
from millrace.ingest.events import Clock
from millrace.ingest.mastodon.bodies import documents
from millrace.ingest.mastodon.client import Absent, Broken, Client, Session, cause, is_own_error
from millrace.ingest.mastodon.limit import Limit
from millrace.ingest.refusals import Refusals
from millrace.urls import is_url

PAGE = 40  # statuses per page at most
BULK = 20  # statuses that can be looked up in one call
STRIKES = 4  # refusals in a row of a token that never worked: one may be a hiccup
REFUSED = (401, 403, 422)


class Instance:
    """Calls the instance at `url`, one call at a time, from any thread; `timeout` in seconds is for each answer.

    All calls raise LimitReached before the rate limit is exceeded, Unavailable when the instance does not answer, and
    ConfigError when it goes on refusing the token, or wants one.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        timeout: float = 10.0,
        timer: Clock = time.monotonic,
    ) -> None:
        self.url, self.name, self._token = url.rstrip("/"), urlsplit(url).netloc, token
        self._session = Session()
        self._client = Client(
            access_token=token,
            api_base_url=self.url,
            session=self._session,
            ratelimit_method="throw",
            request_timeout=timeout,
            user_agent="millrace",
        )
        self._lock = threading.Lock()
        self._refusals = Refusals(STRIKES, timer)
        self._limit = Limit(self.name, timer)
        self._about: Any = None

    def timeline(self, path: str, **page: Any) -> list[Any]:
        """Return one page of `path` (`public`, `local` or `tag/NAME`), newest first, as it came."""
        return self._list(lambda: self._client.timeline(path, limit=PAGE, **page))

    def statuses(self, ids: Sequence[str]) -> list[Any]:
        """Return those of at most 20 statuses that still exist."""
        try:
            return self._list(lambda: self._client.statuses(list(ids)))
        except Absent:  # a server that cannot look up several: each is asked for alone
            return []

    def is_gone(self, status_id: str) -> bool:
        """Return whether the instance's API says that there is no such status."""
        try:
            self._ask(lambda: self._client.status(status_id))
        except Absent:
            return True
        return False

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
        own = "ws" + self.url.removeprefix("http")
        told = urlsplit(str(_within(self._describe(), "configuration", "urls", "streaming")))
        if not is_url(told.geturl(), "wss", urlsplit(own).scheme):  # never from https to what anybody can read
            return f"{own}/api/v1/streaming"
        return f"{address(told.geturl())}{told.path.rstrip('/')}/api/v1/streaming"

    @property
    def headers(self) -> list[str]:
        """The headers that a WebSocket handshake needs."""
        return [f"Authorization: Bearer {self._token}"] if self._token else []

    def pace(self, every: float, callers: int) -> float:
        """Return the seconds, at least `every`, that one of `callers` must leave between its calls."""
        return self._limit.pace(every, callers)

    def has_spare(self) -> bool:
        """Return whether calls that are not urgent may be made."""
        return self._limit.has_spare()

    def refuse(self, status: int) -> None:
        """Count a refusal of the token; raises ConfigError when it is final, else Unavailable."""
        what = f"{self.name}: refused with HTTP status {status}"
        if not self._refusals.refuse():
            raise Unavailable(what)
        if self._token:
            raise ConfigError(f"{what}: the access token is not accepted; make one under Preferences > Development"
                              " on the instance and set MILLRACE_MASTODON_ACCESS_TOKEN")  # fmt: skip
        raise ConfigError(
            f"{what}: this needs an access token; set MILLRACE_MASTODON_ACCESS_TOKEN (for the first instance)"
        )

    def accept(self) -> None:
        """Note that the token was accepted, or that none is needed."""
        self._refusals.accept()

    def _describe(self) -> Any:
        if self._about is None:
            try:
                self._about = self._ask(self._client.instance_v2)
            except Absent:  # an older server does not know it
                self._about = {}
            except Broken as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
        return self._about

    def _list(self, call: Callable[[], object]) -> list[Any]:
        found = self._ask(call)
        if not isinstance(found, list):
            raise Broken(f"{self.name}: an answer that is no list")
        self.accept()
        return found

    def _ask(self, call: Callable[[], object]) -> Any:
        """Return the JSON of the answer; after a broken one the call is repeated once. Raises Absent.

        Without that, a reader that is many pages on would begin again for one of them.
        """
        try:
            return self._answer(call)
        except Broken:
            return self._answer(call)

    def _answer(self, call: Callable[[], object]) -> Any:
        with self._lock:
            self._limit.check()
            self._session.ok = False
            try:
                call()
            except MastodonNotFoundError:
                if is_own_error(self._session.body):
                    raise Absent(f"{self.name}: HTTP status 404") from None
                raise Broken(f"{self.name}: HTTP status 404", HTTPStatus.NOT_FOUND) from None
            except MastodonRatelimitError:
                self._limit.learn(self._client)
                raise self._limit.reached() from None
            except MastodonNetworkError as error:
                raise Unavailable(f"{self.name}: {cause(error)}") from None
            except MastodonError as error:
                if not self._session.ok:  # else the library cannot read the answer, which has no say in that
                    self._explain(error)
            finally:
                self._limit.learn(self._client)
            return self._documents()

    def _documents(self) -> Any:
        try:
            return documents(self._session.body)
        except BadRecord:
            raise Broken(f"{self.name}: an answer that is no JSON") from None

    def _explain(self, error: MastodonError) -> None:
        status = error.args[1] if isinstance(error, MastodonAPIError) and len(error.args) > 3 else None
        if status in REFUSED and is_own_error(self._session.body):
            self.refuse(status)
        what = f"HTTP status {status}" if status else "an answer that is no JSON"
        raise Broken(f"{self.name}: {what}", status) from None


def _within(document: Any, *keys: str) -> Any:
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document
