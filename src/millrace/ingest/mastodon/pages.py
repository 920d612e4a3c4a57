"""Ask for the pages of a timeline: when the rate limit allows it, and back by time where ids tell none.

GoToSocial's ids are ULIDs, Pleroma's are flakes, Friendica's plain numbers: what is Mastodon's id for a time is no
place in their timelines. There, pages are asked for from the newest one back with `max_id`, by the ids that the server
showed, until its posts are old enough.
"""

import time
from collections.abc import Callable, Generator, Iterable
from typing import Any

from millrace.ingest.events import Clock, Item, Pulse
from millrace.ingest.mastodon.client import LimitReached
from millrace.ingest.mastodon.instance import Instance
from millrace.ingest.mastodon.snowflakes import created, id_of

TICK = 0.25  # seconds between checks whether to stop
FOREIGN = "its ids are not Mastodon's: pages are read back by time, deletes are seen by --revisit and streams alone"
Page = list[Any]
Items = Generator[Item | Pulse | None, None, None]
Asking = Generator[Item | Pulse | None, None, Page]


class Pages:
    """The pages of the timeline `path` of `instance`, newest post first; `say` takes a line, `timer` is monotonic."""

    def __init__(
        self,
        instance: Instance,
        path: str,
        say: Callable[[str], None],
        timer: Clock = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._instance, self._path, self._say = instance, path, say
        self._timer, self._sleep = timer, sleep

    def wait(self, seconds: float) -> Items:
        """Yield pulses for `seconds`: the silence is intended."""
        end = self._timer() + seconds
        while (left := end - self._timer()) > 0:
            self._sleep(min(TICK, left))
            yield Pulse()

    def ask(self, **page: str) -> Asking:
        """Return the page that `page` (`min_id`, `max_id` or nothing) names, once the rate limit allows it."""
        while True:
            try:
                return self._instance.timeline(self._path, **page)
            except LimitReached as error:
                self._say(str(error))
                yield from self.wait(error.delay)

    def back(
        self,
        start: int,
        shown: Callable[[Page], Iterable[Item]] = lambda _: (),
        enough: Callable[[], bool] = lambda: False,
    ) -> Asking:
        """Return the page that reaches back to `start` (microseconds), or the last there is.

        Yields what `shown` makes of each page on the way, the newest page first; `enough` ends it sooner.
        """
        page = yield from self.ask()
        while page:
            yield from shown(page)
            last = id_of(page[-1])
            if last is None or created(page[-1], start) <= start or enough():
                break
            older = yield from self.ask(max_id=last)
            if not older or id_of(older[-1]) == last:
                break
            page = older
        return page


def newest_id(page: Page) -> str:
    """Return the id of the newest status of a page that has one, in the server's own order."""
    return next((found for each in page if (found := id_of(each))), "")
