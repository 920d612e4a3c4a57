"""The HTTP side of Mastodon's API: Mastodon.py, the bytes of its last answer, and what went wrong with an answer."""

from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin

import orjson
import requests
from mastodon import Mastodon

from millrace.errors import Unavailable
from millrace.ingest.addresses import address

REDIRECT = "it redirects to "


class LimitReached(Unavailable):
    """The rate limit allows no call for `delay` seconds."""

    def __init__(self, host: str, delay: float) -> None:
        super().__init__(
            f"{host}: its rate limit is reached; next call in {delay:.0f} s (a longer --every needs fewer)"
        )
        self.delay = delay


class Broken(Unavailable):
    """The server answered with an error, with `status` if that is known, or with something else than was asked for."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class Absent(Unavailable):
    """The API itself answered 404: what was asked for is not there."""


class Session(requests.Session):
    """Keeps the body of the last answer, because Mastodon.py's own objects do not hold it as it came.

    Follows no redirect: what another host says is not what this instance says, and the token is not for it.
    """

    body, ok = b"", False

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        response = super().request(*arguments, **options | {"allow_redirects": False})
        if HTTPStatus.MULTIPLE_CHOICES <= response.status_code < HTTPStatus.BAD_REQUEST:
            told = urljoin(response.url, response.headers.get("location", ""))
            raise requests.TooManyRedirects(f"{REDIRECT}{address(told)}: is that the --instance you mean?")
        self.body, self.ok = response.content, response.ok
        return response


class Client(Mastodon):
    """Does not ask before each page whether the timeline is open; `Instance.closed` does so once."""

    def timeline_is_available(self, *_: Any, **__: Any) -> bool:
        return True


def is_own_error(body: bytes) -> bool:
    """Return whether an answer is an error as Mastodon's API words it, and not one of a proxy before it.

    docs.joinmastodon.org/entities/Error: a JSON object with the string `error`.
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(found, dict) and isinstance(found.get("error"), str)


def cause(error: Exception) -> str:
    """Return in few words what the libraries say in many."""
    text = str(error)
    if REDIRECT in text:
        return REDIRECT + text.rpartition(REDIRECT)[2]
    known = {
        "timed out": "no answer in time",
        "refused": "connection refused",
        "resolve": "no such host",
        "aborted": "connection lost",
    }
    return next((words for part, words in known.items() if part in text), "the connection failed")
