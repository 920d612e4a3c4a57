"""Read one timeline of an instance: its pages in an order in which no post is missed.

`min_id` pages forward without holes; `since_id` skips posts when more than one page is new. Posts of other servers may
appear later with older ids, so the last minutes are read again and again.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from millrace.errors import BadRecord, Unavailable
from millrace.ingest.events import SECOND, Clock, Cursor, DeadLetter, Event, Item, Mark
from millrace.ingest.mastodon.absences import Absences
from millrace.ingest.mastodon.bodies import source
from millrace.ingest.mastodon.instance import BULK, PAGE, Instance
from millrace.ingest.mastodon.memory import WAITING, Memory
from millrace.ingest.mastodon.pages import FOREIGN, Items, Page, Pages, newest_id
from millrace.ingest.mastodon.snowflakes import are_times, created, id_at, id_of, order, time_of
from millrace.ingest.mastodon.statuses import Writer, read

REREAD = 600  # seconds that are read again
REREAD_EVERY = 60.0  # seconds


class Timeline:
    """The timeline `path` (`public`, `local` or `tag/NAME`) of `instance`, from `since` (microseconds) on, or live."""

    def __init__(
        self,
        instance: Instance,
        path: str,
        writer: Writer,
        memory: Memory,
        *,
        since: int | None = None,
        say: Callable[[str], None],
        clock: Clock = time.time,
        timer: Clock = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.instance, self.path, self.writer, self.memory = instance, path, writer, memory
        self.place = f"{instance.url}/api/v1/timelines/{path}"
        self._since, self._say = since, say
        self._clock, self._timer = clock, timer
        self.pages = Pages(instance, path, say, timer, sleep)
        self._unshown = Absences(instance, memory, say, timer)
        self._not_found = Absences(instance, memory, say, timer)
        self._after = ""  # the newest id that was read
        self._first = ""  # the id where reading began
        self._reread_after = ""
        self._foreign: bool | None = None  # whether ids are not Mastodon's; None until a status was seen
        self._start = 0  # where reading began, microseconds
        self._reread_at = timer() + REREAD_EVERY
        self._frontier = 0
        self._silent = False

    @property
    def now(self) -> int:
        """The ingest clock in microseconds."""
        return int(self._clock() * SECOND)

    def mark(self) -> Mark:
        """Return a mark at the newest time that was read, for when there is nothing new."""
        return Mark(self._frontier, self._frontier, self.place)

    def begin(self, cursor: Cursor | None, *, rewind: bool = False) -> Items:
        """Resume where this timeline, or else `cursor`, left off; without either, begin at `since` or the newest page.

        `rewind` goes back ten minutes even if this timeline was read before: nobody read it again meanwhile.
        """
        if cursor:
            yield Mark(cursor.seen, cursor.seen)  # everything since can still be read: no gap
        until = ""
        if not self._after or rewind:
            place = cursor.places.get(self.place) if cursor else None
            start = self._since if place is None else place - REREAD * SECOND
            if start is None:
                yield from self._newest()
                return
            until = id_at(max(self._frontier, place or 0) + SECOND)
            self._frontier = self._start = max(self._frontier, start)
            yield from self._go_to(start)
        yield from self.forward("" if self._foreign else until)

    def _go_to(self, start: int) -> Items:
        """Stand where posts of `start` (microseconds) begin: by an id that is computed, on other servers by pages."""
        self._after = self._first = id_at(start)
        if self._foreign is None:
            self._learn((yield from self.pages.ask()))
        if self._foreign:
            self._after = ""
            page = yield from self.pages.back(start)
            if not page:
                raise Unavailable(f"{self.instance.name}: answers an empty list where there were posts")
            yield from self._read([each for each in page if created(each, start) >= start])
            self._after = newest_id(page)

    def _learn(self, page: Page) -> None:
        """Find out whose ids these are."""
        if self._foreign is None and (times := are_times(page)) is not None:
            self._foreign = not times
            if self._foreign:
                self._say(f"{self.instance.name}: {FOREIGN}")

    def _newest(self) -> Items:
        page = yield from self.pages.ask()
        if not page:
            self._notice()
            self._frontier = self.now - SECOND
        self._start = self._frontier
        self._learn(page)
        oldest = min(_ids(page), key=order, default=id_at(self.now - SECOND))
        self._after = self._first = oldest
        yield from self._read(page)
        yield self.mark()

    def forward(self, until: str = "") -> Items:
        """Yield all that is newer than what was read, oldest first, and deletes of known posts below `until`."""
        while True:
            after = self._after
            page = yield from self.pages.ask(min_id=after)
            absent = self._unshown.absent(after, page, until) if page and not self._foreign else []
            yield from self._read(page)
            yield from self._gone(self._unshown.missing(absent, len(page)))
            yield self.mark()
            if len(page) < PAGE or self._after == after:
                return

    def reread(self) -> Items:
        """Yield the last ten minutes again, once a minute, in the calls that are spare; the rest follows next time."""
        if self._timer() < self._reread_at:
            return
        self._reread_at = self._timer() + REREAD_EVERY
        if self._foreign is None:  # nothing was shown yet
            yield from self._go_to(self._start)
        if self._foreign:
            since = self.now - REREAD * SECOND
            yield from self.pages.back(since, self._shown_again, lambda: not self.instance.has_spare())
            return
        after = max(self._reread_after, self._first, id_at(self.now - REREAD * SECOND), key=order)
        while self.instance.has_spare():
            self._reread_after = after
            page = yield from self.pages.ask(min_id=after)
            ids, full = _ids(page), len(page) >= PAGE
            absent = self._unshown.absent(after, page, self._after)
            if absent and not ids:  # the next reread begins here
                self._emptied()
                return
            self._silent = False
            yield from self._read(page)
            yield from self._gone(self._unshown.missing(absent, len(page)))
            last = max(ids, key=order) if ids and full else after
            if last == after:
                self._reread_after = ""
                return
            after = last

    def revisit(self) -> Items:
        """Yield the counters of posts that are due to be revisited."""
        if lost := self.memory.lost():
            self._say(f"{self.instance.name}: {lost} revisits are left out: there is room for {WAITING} that wait, in "
                      "equal shares; a shorter --revisit needs less")  # fmt: skip
        while self.instance.has_spare() and (due := self.memory.take(BULK)):
            try:
                found = {id_of(each): each for each in self.instance.statuses(list(dict.fromkeys(i for _, i in due)))}
            except Unavailable:
                self.memory.put_back(due)
                return
            for moment, status_id in due:
                if status_id in found:
                    yield from self.items(found[status_id], partial(self._looked_up, due=moment))
            yield from self._gone(self._not_found.confirm([i for _, i in due if i not in found], len(found)))
        for absences in (self._unshown, self._not_found):
            yield from self._gone(absences.again())

    def items(self, document: Any, events: Callable[[Any], Sequence[Event]]) -> Iterator[Item]:
        """Yield the events that `events` makes of a status, or a dead letter if it is broken."""
        try:
            found = events(document)
        except BadRecord as error:
            letter = DeadLetter.of(source(document), str(error), self._frontier)
            if self.memory.is_new_letter(f"{id_of(document) or letter.sha256} {error}"):
                yield letter
            return
        for event in found:
            event.position = event.seen = self._frontier
            event.place = self.place
            yield event

    def shown(self, document: Any) -> Iterator[Item]:
        """Yield the events of a status that a page or the stream shows."""
        self._advance(document)
        yield from self.items(document, self._remember)

    def deleted(self, status_id: str) -> Iterator[Item]:
        """Yield the delete of a post, nothing if the post was never shown."""
        uri = self.memory.uri(status_id)
        if uri is not None:
            self.memory.forget(status_id)
            yield from self.items(status_id, lambda each: [self.writer.deleted(each, uri, self.now)])

    def _looked_up(self, document: Any, due: int) -> list[Event]:
        return self.writer.looked_up(document, due, self.now)

    def _remember(self, document: Any) -> list[Event]:
        events = self.writer.shown(document, self.now)
        if events:
            status, _ = read(document)
            self.memory.add(status.id, status.uri, int(status.created_at.timestamp() * SECOND), self.now)
        return events

    def _read(self, page: Page) -> Iterator[Item]:
        """Yield a page, oldest first, whatever its order: so a cursor in its middle is right."""
        if self._foreign:  # the server's own order, the newest first
            yield from self._shown_again(page)
            self._after = newest_id(page) or self._after
            return
        for document in sorted(page, key=lambda each: order(id_of(each) or "")):
            yield from self.shown(document)
            self._after = max(self._after, id_of(document) or "", key=order)

    def _shown_again(self, page: Page) -> Iterator[Item]:
        for document in reversed(page):
            yield from self.shown(document)

    def _advance(self, document: Any) -> None:
        moment = created(document, 0) if self._foreign else time_of(id_of(document) or "") or self.now
        self._frontier = max(self._frontier, min(moment, self.now))

    def _emptied(self) -> None:
        if not self._silent:
            self._silent = True
            self._say(f"{self.instance.name}: answers an empty list where there were posts: is its feed closed? "
                      "Set MILLRACE_MASTODON_ACCESS_TOKEN, or wait")  # fmt: skip

    def _gone(self, ids: Sequence[str]) -> Iterator[Item]:
        for status_id in ids:
            yield from self.deleted(status_id)

    def _notice(self) -> None:
        self._say(f"{self.instance.name}: {self.path} is empty: nothing was posted yet, or the feed is closed; "
                  "a token in MILLRACE_MASTODON_ACCESS_TOKEN may open it")  # fmt: skip


def _ids(page: Page) -> set[str]:
    return {found for each in page if (found := id_of(each))}
