"""What a double of a feed sends: one frozen description, from which every frame and the truth follow."""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from millrace.errors import ConfigError

SECOND = 1_000_000  # microseconds
LATE_GAP = 30 * 60 * SECOND  # late frames lie at least this far before the start, so in no window of frames in time
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FRACTIONS = ("tagged", "duplicates", "late", "malformed", "future_dated")


def rfc3339(time_us: int, timespec: str = "milliseconds") -> str:
    """Return `time_us` (Unix microseconds) as RFC 3339 in UTC with a `Z`."""
    return (EPOCH + timedelta(microseconds=time_us)).isoformat(timespec=timespec)[:-6] + "Z"


def instant(text: str) -> datetime:
    """Read an ISO 8601 time, UTC unless it says otherwise; raises ConfigError."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--start {text!r} is no ISO 8601 time such as 2026-07-04T12:00:00Z") from None


@dataclass(frozen=True)
class Scenario:
    """Frame i is a pure function of these values and i; its event time is `start` + i / `rate`.

    `start` defaults to now or, where frames are sent faster than they are dated, to a time that makes the
    last one be of now. Raises ConfigError that names every value out of range.
    """

    seed: int = 1
    rate: float = 50.0  # events per second of event time
    count: int | None = None  # None: endless
    start: datetime | None = None
    speed: float = 1.0  # event seconds per wall second; 0: as fast as the client reads
    tagged: float = 0.3  # fraction of posts with hashtags
    duplicates: float = 0.0  # fraction of frames sent once or twice more, 7 and 31 frames later
    shuffle: float = 0.03  # seconds by which time_us may step back
    late: float = 0.0  # fraction of posts dated 30 to 60 minutes before the start
    malformed: float = 0.0  # fraction of frames that are broken
    future_dated: float = 0.0  # fraction of posts whose createdAt (never time_us) is in 2036 or 1970
    drop_every: int | None = None  # the socket is closed after this many frames on a connection
    silent_after: int | None = None  # once, after this many frames in all, nothing more until the client reconnects
    sequence: bool = True  # frames carry the integer `cursor` beside `time_us`
    lookback: float = 36.0  # hours that a cursor may reach back
    start_us: int = field(init=False)

    def __post_init__(self) -> None:
        """Check the values and resolve the start."""
        problems = _problems(self)
        if problems:
            raise ConfigError("wrong scenario: " + "; ".join(problems))
        object.__setattr__(self, "start_us", self._resolve_start())

    def _resolve_start(self) -> int:
        if self.start is not None:
            start = self.start if self.start.tzinfo else self.start.replace(tzinfo=UTC)
            return (start - EPOCH) // timedelta(microseconds=1)
        ahead = (self.count or 0) / self.rate if self.speed == 0 or self.speed > 1 else 0.0
        return (datetime.now(UTC) - EPOCH) // timedelta(microseconds=1) - round(ahead * SECOND)

    def nominal(self, index: int) -> int:
        """Return the time of frame `index` before any disorder, Unix microseconds; never decreasing."""
        return self.start_us + int(index * SECOND / self.rate)

    def age(self, index: int) -> float:
        """Return how many seconds after the start the nominal time of frame `index` is."""
        return (self.nominal(index) - self.start_us) / SECOND

    def position(self, time_us: int) -> int:
        """Return the first index of nominal time `time_us` or later: frames stamped so come from there on."""
        index = max(0, int((time_us - self.start_us) * self.rate / SECOND) - 1)
        while self.nominal(index) < time_us:
            index += 1
        return index


def _problems(scenario: Scenario) -> list[str]:
    rules = {
        "--rate": 0 < scenario.rate <= SECOND,
        "--speed": 0 <= scenario.speed < math.inf,
        "--count": scenario.count is None or scenario.count >= 0,
        "--shuffle": 0 <= scenario.shuffle <= 600,
        "--lookback": 0 < scenario.lookback < math.inf,
        # A cursor is inclusive: below two frames a connection, no client would ever get on.
        "--drop-every": scenario.drop_every is None or scenario.drop_every >= 2,
        "--silent-after": scenario.silent_after is None or scenario.silent_after >= 1,
        "--seed": 0 <= scenario.seed < 2**63,
    }
    wrong = [
        f"{option} {getattr(scenario, option[2:].replace('-', '_'))} is out of range"
        for option, holds in rules.items()
        if not holds
    ]
    wrong += [
        f"--{name.replace('_', '-')} is a fraction from 0 to 1"
        for name in FRACTIONS
        if not 0 <= getattr(scenario, name) <= 1
    ]
    if scenario.count is None and scenario.start is None and (scenario.speed == 0 or scenario.speed > 1):
        wrong.append("--speed above 1 (or 0) needs --count or --start, or event times would run ahead of the clock")
    return wrong
