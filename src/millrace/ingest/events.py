"""What a feed yields and how values are written: the words that the provider files and the loop share."""

import hashlib
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from millrace.kafka.topics import Topic

SECOND = 1_000_000  # times are integers: microseconds since 1970, UTC
AHEAD = 300 * SECOND  # one event dated in the future moves the watermark and drops everything honest after it
EARLIEST = 1_640_995_200 * SECOND  # 2022: no feed began earlier; milliseconds for microseconds read as 1970
TIMES_FROM = 10**15  # a position from here on is a time; of smaller ones, the feed says what they are
IDS = 1000  # event ids that a cursor keeps; the window of recent ids covers the rest
HEAD = 4096  # bytes of a bad frame that are kept

Clock = Callable[[], float]  # seconds since 1970


@dataclass(slots=True)
class Event:
    """One happening for Kafka. The feed resumes at `position`, inclusively; `seen` is the time there.

    `place` names which of the feeds read at once it is from. `mended`: a field had another shape than documented.
    """

    topic: str
    key: bytes
    value: bytes
    event_time: int
    event_id: str
    position: int
    seen: int
    place: str = ""
    mended: bool = False


@dataclass(slots=True)
class Mark:
    """A frame without an event: it only moves the cursor."""

    position: int
    seen: int
    place: str = ""


@dataclass(slots=True)
class DeadLetter:
    """A frame that cannot be an event: its head. `position` None: the reader puts the last one known."""

    head: bytes
    size: int
    sha256: str
    reason: str
    position: int | None = None

    @classmethod
    def of(cls, frame: bytes, reason: str, position: int | None = None) -> "DeadLetter":
        """Make the dead letter of a whole frame."""
        return cls(frame[:HEAD], len(frame), hashlib.sha256(frame).hexdigest(), reason, position)


@dataclass(slots=True)
class Gap:
    """Data of `source` between two times (microseconds) that may be missing, and why."""

    source: str
    host: str
    start: int
    end: int
    reason: str


@dataclass(slots=True)
class Cursor:
    """Where a feed stands: the last position taken from `host`, the event ids there, and who wrote it when.

    A position that equals its `seen` time is a time and holds on any host; any other is a sequence number of
    that host. `seen` 0 is unknown. `places` has the time of each of the hosts that are read at once.
    """

    host: str
    position: int
    seen: int
    ids: list[str] = field(default_factory=list)
    batch: int = 0
    owner: str = ""
    places: dict[str, int] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Say whether the position is a `time` or a `sequence`."""
        return "time" if self.position == self.seen else "sequence"

    @property
    def moment(self) -> int:
        """The time there: `seen`, or of a cursor that somebody chose its position, if that is a time; 0 is unknown."""
        return self.seen or (self.position if self.position >= TIMES_FROM else 0)

    def advance(self, host: str, item: Event | Mark, now: int) -> None:
        """Move to `item` of `host`: times only forward, and never to one that lies in the future."""
        if item.seen <= now + AHEAD:
            self.seen = max(self.seen, item.seen)
            if item.place:
                self.places[item.place] = max(self.places.get(item.place, 0), item.seen)
        position = self.seen if item.position == item.seen else item.position
        if position != self.position:
            self.ids = []
        self.host, self.position = host, position
        if isinstance(item, Event) and item.position == position and item.event_id not in self.ids[:IDS]:
            self.ids = [*self.ids[: IDS - 1], item.event_id]


@dataclass(slots=True)
class Connected:
    """The reader put this before the items of a connection."""

    host: str


@dataclass(slots=True)
class Pulse:
    """A sign of life without news, such as a ping, or a wait that is intended: it feeds the watchdog alone."""


Item = Event | Mark | DeadLetter | Gap
Entry = Item | Connected
Stream = Generator[Item | Pulse | None, None, None]


@dataclass(frozen=True)
class Feed:
    """A provider: how to connect and how a frame becomes events; the loop in `run` does everything else.

    `connect(host, cursor)` yields None once connected and at least every second in silence, a Pulse where it is sure
    that the connection lives, items otherwise.
    It raises Unavailable when the connection is lost. `cursor` None means live; else it resumes inclusively:
    the first item is not later than the cursor, or data is missing. Not `replayable`: there are no cursors.
    It raises ConfigError when no further attempt can help. `at_once`: all hosts are read, each on its own.
    """

    name: str
    topic: Topic
    hosts: tuple[str, ...]
    connect: Callable[[str, Cursor | None], Stream]
    replayable: bool = True
    by_time: bool = True  # a time is a cursor, too, and so holds on another host
    at_once: bool = False
