"""What lies in an archive, and whether it is whole: sizes, counts, gaps in offsets."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from millrace.archive import log, records
from millrace.archive.files import Files, Status, walk
from millrace.archive.log import Log, Part, State
from millrace.errors import ConfigError

Advance = Callable[[int], object]  # takes how many bytes were looked at


@dataclass(frozen=True)
class Hour:
    """One hour of a topic: batches, files, rows and bytes that count."""

    topic: str
    hour: str
    batches: int
    files: int
    rows: int
    bytes: int


@dataclass(frozen=True)
class Fault:
    """Something that is not as it should be; `serious` when records are missing, twice or unreadable."""

    topic: str
    where: str
    what: str
    serious: bool = True

    def row(self) -> dict[str, str]:
        """Return the line of the report."""
        return {"": "WRONG" if self.serious else "ok", "topic": self.topic, "where": self.where, "what": self.what}


def chosen(files: Files, topics: Sequence[str] = ()) -> list[str]:
    """Return `topics`, or all that the archive holds; raises ConfigError for one that it does not hold."""
    there = log.topics(files)
    if unknown := [topic for topic in topics if topic not in there]:
        raise ConfigError(f"{files.url} holds no topic {', '.join(unknown)}; it has {', '.join(there) or 'none'}")
    return list(topics) or there


def hours(files: Files, topics: Sequence[str] = ()) -> list[Hour]:
    """Return a line for each hour of `topics` (none: all)."""
    found = []
    for topic in chosen(files, topics):
        for hour, parts in Log(files, topic).load().hours().items():
            sizes = [each.size for part in parts for each in records.listed(files, topic, part)]
            rows = sum(part.rows for part in parts)
            found.append(Hour(topic, hour, len(parts), len(sizes), rows, sum(sizes)))
    return found


def size(files: Files, topics: Sequence[str] = ()) -> int:
    """Return the bytes that `verify` looks at."""
    return sum(hour.bytes for hour in hours(files, topics))


def verify(files: Files, topics: Sequence[str] = (), advance: Advance = lambda size: None) -> list[Fault]:
    """Read every file and return what is wrong: rows that are missing or too many, gaps, offsets archived twice.

    Leftovers of a killed writer, which nobody reads, are named, too, and where records of absurd times lie.
    """
    return [fault for topic in chosen(files, topics) for fault in _verify(files, topic, advance)]


def _verify(files: Files, topic: str, advance: Advance) -> Iterator[Fault]:
    state = Log(files, topic).load()
    for hour, parts in state.hours().items():
        for part in parts:
            yield from _part(files, topic, hour, part, advance)
        if log.odd(hour, datetime.now(UTC)):
            rows = sum(part.rows for part in parts)
            yield Fault(topic, hour, f"{rows} rows without a time, or of one that no clock showed", serious=False)
    for partition, gaps in state.gaps().items():
        for first, end in gaps:
            yield Fault(topic, f"partition {partition}", f"offsets {first} to {end - 1} are not in the archive")
    for overlap in state.overlaps:
        yield Fault(topic, overlap, "was archived twice")
    for folder in leftovers(files, topic)[0]:
        yield Fault(topic, folder, "a leftover of a killed writer, which nobody reads", serious=False)


def _part(files: Files, topic: str, hour: str, part: Part, advance: Advance) -> Iterator[Fault]:
    found, place = 0, f"{hour}/batch_id={part.id}"
    for each in records.listed(files, topic, part):
        try:
            found += records.count(files.read(each.path), part.format)
        except records.DAMAGED as error:
            yield Fault(topic, each.path, f"cannot be read: {error}")
        advance(each.size)
    if found != part.rows:
        yield Fault(topic, place, f"holds {found} rows, not {part.rows}")


def leftovers(files: Files, topic: str) -> tuple[list[str], State]:
    """Return the folders of batches that no log entry names, below the archive, and what the log says.

    The log is read after the folders: a batch that is committed meanwhile is none of them.
    """
    there = {_folder(each) for each in walk(files, f"source={topic}")}
    state = Log(files, topic).load()
    return sorted(there - {f"source={topic}/{part.folder}" for part in state.parts.values()}), state


def _folder(file: Status) -> str:
    return file.path.rpartition("/")[0]
