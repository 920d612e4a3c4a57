"""What a replay leaves out of its topic, as gaps of event time: beginning, end, and what the archive lacks between."""

from dataclasses import dataclass
from datetime import UTC, datetime

from millrace.archive.log import State
from millrace.archive.records import Record
from millrace.kafka.gaps import Span
from millrace.kafka.times import EPOCH, counted

EVER = EPOCH
NEVER = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass
class _Hole:
    """Offsets that the archive lacks, from `first` up to `end`, and the times of the records around them."""

    first: int
    end: int
    before: datetime = EVER
    after: datetime = NEVER

    def see(self, record: Record, moment: datetime) -> None:
        if record.offset < self.first:
            self.before = max(self.before, moment)
        else:
            self.after = min(self.after, moment)


class LeftOut:
    """Looks at each record that is replayed, and knows afterwards what was not."""

    def __init__(self, state: State, start: datetime | None, end: datetime | None) -> None:
        self._state, self._start, self._end, self._last = state, start, end, EVER
        self._refused: datetime | None = None
        self._holes = {partition: [_Hole(*gap) for gap in gaps] for partition, gaps in state.gaps().items()}
        for partition, ranges in state.offsets.items():
            if ranges and (begin := ranges[0][0]):
                self._holes.setdefault(partition, []).append(_Hole(0, begin))

    def seen(self, record: Record) -> Record:
        """Take note of `record`, and return it."""
        if moment := counted(record.timestamp):
            self._last = moment
            for hole in self._holes.get(record.partition, ()):
                hole.see(record, moment)
        return record

    def refused(self, record: Record) -> None:
        """Take note that `record` and all that are later are not replayed."""
        self._refused = counted(record.timestamp)

    def gaps(self, later: datetime | None, unknown: list[int], *, stopped: bool) -> list[Span]:
        """Return the gaps; `later` and `unknown` are what `beyond.later` says, `stopped` whether it ended early."""
        ends = [each for each in (self._end, later, self._refused, self._last if stopped else None) if each]
        if unknown:
            ends.append(datetime.fromisoformat(self._state.until) if self._state.until else self._last)
        holes = [(hole.before, hole.after) for holes in self._holes.values() for hole in holes]
        holes = [hole for hole in holes if hole != (EVER, NEVER)]  # of a partition without records
        cut = [(EVER, self._start)] if self._start else []
        return [*cut, *holes, *([(min(ends), NEVER)] if ends else [])]
