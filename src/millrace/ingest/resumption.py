"""Where to take a feed up again, and what the first item then shows to be missing."""

import time
from dataclasses import dataclass, field, replace

from millrace.ingest.addresses import address, is_at
from millrace.ingest.events import AHEAD, SECOND, Clock, Cursor, DeadLetter, Event, Feed, Gap, Item, Mark

REWIND = 2 * SECOND  # a server's times may step back; what comes twice ends in the window of recent ids
REWIND_ELSEWHERE = 10 * SECOND  # another host saw the same events at other times
UNHURRIED = 10 * SECOND  # after a time that somebody chose there need be no event sooner
SETTLED = 2 * SECOND  # a server that does not answer a subscription has taken it by then
HELD = 1000  # bad frames that are held back


def start(feed: Feed, cursor: Cursor | None, host: str) -> Cursor | None:
    """Return where to resume on `host`, None for live; on another host than the cursor's, go by time."""
    if cursor is None or not feed.replayable:
        return None
    same = is_at(cursor.host, host)
    if cursor.seen == 0 or (same and cursor.kind == "sequence"):
        return replace(cursor)
    if not same and not feed.by_time:
        return None
    return replace(cursor, position=cursor.seen - (REWIND if same else REWIND_ELSEWHERE))


def missed(feed: Feed, cursor: Cursor | None, host: str, asked: int, now: int) -> Gap:
    """Return what a new connection of a feed that cannot replay shows to be missing; times in microseconds.

    It was `asked` for at that time and stood `now` at the earliest. Nothing was lost up to the cursor, but for what the
    server tells late; without a cursor there is no more to be missing than the first moments.
    """
    if cursor is None or not cursor.seen:
        return Gap(feed.name, address(host), asked, now + SETTLED, "subscribed")
    return Gap(feed.name, address(host), min(cursor.seen, asked) - REWIND, now + SETTLED, "the feed cannot replay")


@dataclass
class Resumption:
    """The first moments of a connection that goes on from `cursor`, of a feed that can replay.

    A feed resumes inclusively: if the first good item is later than the cursor, what lay between is missing. If not,
    bad frames without a place of their own that come before it were seen before the interruption. On another host,
    which saw the same events at other times, some may be missing in any case.
    """

    feed: Feed
    cursor: Cursor
    clock: Clock = time.time
    held: list[DeadLetter] = field(default_factory=list)
    done: bool = False

    def items(self, host: str, item: Item) -> list[Item]:
        """Return what goes on for `item`: itself, nothing yet, or a gap and what was held before it."""
        if self.done or isinstance(item, Gap):
            return [item]
        if isinstance(item, DeadLetter):
            return self._hold(item)
        if item.seen > self.clock() * SECOND + AHEAD:  # dated in the future: it tells nothing
            return [item]
        self.done = True
        return [*self._missing(host, item), item]

    def _hold(self, letter: DeadLetter) -> list[Item]:
        if letter.position is not None or len(self.held) >= HELD:
            return [letter]
        self.held.append(letter)
        return []

    def _missing(self, host: str, first: Event | Mark) -> list[Item]:
        cursor, patience = self.cursor, 0 if self.cursor.seen else UNHURRIED
        if not cursor.moment:
            return []
        if first.seen > cursor.moment + patience:
            letters = [replace(letter, position=cursor.position) for letter in self.held]
            return [
                self._gap(host, cursor.moment, first.seen, "the server no longer replays from the cursor"),
                *letters,
            ]
        if cursor.seen and not is_at(cursor.host, host) and not self.feed.at_once:
            reason = f"the host before was {address(cursor.host)}"
            return [self._gap(host, cursor.seen - REWIND_ELSEWHERE, cursor.seen, reason)]
        return []

    def _gap(self, host: str, start: int, end: int, reason: str) -> Gap:
        return Gap(self.feed.name, address(host), start, end, reason)
