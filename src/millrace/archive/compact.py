"""Many small files of an hour to few large ones; nothing is removed before the new ones are read back and count."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from millrace.archive import census, lease, records
from millrace.archive.files import Files
from millrace.archive.log import COMPACT, Entry, Log, Part, State, begin
from millrace.errors import MillraceError

ROWS_PER_FILE = 500_000
GRACE = timedelta(minutes=10)  # after its end an hour is closed; what comes later is compacted later

Advance = Callable[[int], object]  # takes how many rows were written


@dataclass(frozen=True)
class Compacted:
    """What became of one hour: files and bytes before and after."""

    topic: str
    hour: str
    rows: int
    files_before: int
    files: int
    bytes_before: int
    bytes: int


@dataclass(frozen=True)
class Work:
    """An hour to compact."""

    topic: str
    hour: str
    parts: list[Part]

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return sum(part.rows for part in self.parts)


def due(files: Files, topics: Sequence[str] = (), now: datetime | None = None) -> list[Work]:
    """Return the closed hours of `topics` (none: all) that have more than one batch, or one of several files."""
    end = ((now or datetime.now(UTC)) - GRACE - timedelta(hours=1)).timestamp()
    return [
        Work(topic, hour, parts)
        for topic in census.chosen(files, topics)
        for hour, parts in Log(files, topic).load().hours().items()
        if begin(hour) <= end and (len(parts) > 1 or _scattered(files, topic, parts[0]))
    ]


def compact(
    files: Files,
    topics: Sequence[str] = (),
    now: datetime | None = None,
    advance: Advance = lambda rows: None,
    rows_per_file: int = ROWS_PER_FILE,
) -> list[Compacted]:
    """Compact the closed hours, one after another, and the log; remove what a killed writer or compaction left.

    Raises MillraceError when another compaction runs, or when the new files do not hold what the old ones do.
    A reader that began before may have to begin again.
    """
    done = []
    for topic in census.chosen(files, topics):
        log = Log(files, topic)
        with lease.hold(files, f"{log.root}/_compactor") as held:
            _sweep(files, log)
            for work in due(files, [topic], now):
                held.check()
                done.append(_hour(files, log, work, advance, rows_per_file))
            held.check()
            log.fold()
    return done


def _hour(files: Files, log: Log, work: Work, advance: Advance, rows_per_file: int) -> Compacted:
    state = log.load()
    before = [each for part in work.parts for each in records.listed(files, log.topic, part)]
    number = 1 + max([state.folded.get(COMPACT, -1), *_numbers(state)])
    part = Part(work.hour, f"{COMPACT}-{number}", work.parts[-1].format, work.rows)
    written = _rewrite(files, work, part, advance, rows_per_file)
    if written != work.rows:
        files.remove(f"{log.root}/{part.folder}")
        raise MillraceError(
            f"{log.root}/{work.hour}: {work.rows} rows were archived, {written} can be read: nothing was changed;"
            " `millrace archive verify` names the files"
        )
    log.commit(Entry(COMPACT, number, {}, [part], [old.id for old in work.parts]), state)
    for old in work.parts:
        files.remove(f"{log.root}/{old.folder}")
    after = records.listed(files, log.topic, part)
    sizes = sum(each.size for each in before), sum(each.size for each in after)
    return Compacted(log.topic, work.hour, work.rows, len(before), len(after), *sizes)


def _rewrite(files: Files, work: Work, target: Part, advance: Advance, rows_per_file: int) -> int:
    """Write the records of `work` to `target` and return how many can be read back."""
    merged, found = records.read(files, work.topic, work.parts), 0
    for number, chunk in enumerate(_chunks(merged, rows_per_file)):
        path = f"source={work.topic}/{target.folder}/part-{number:05}{records.SUFFIXES[target.format]}"
        files.write(path, records.write(chunk, target.format))
        count = records.count(files.read(path), target.format)
        advance(count)
        found += count
    return found


def _chunks(merged: Iterator[records.Record], size: int) -> Iterator[list[records.Record]]:
    while chunk := list(islice(merged, size)):
        yield chunk


def _sweep(files: Files, log: Log) -> None:
    """Remove folders that no entry names: at once where their batch was replaced, else when no writer is at work."""
    found, state = census.leftovers(files, log.topic)
    strangers = [folder for folder in found if not _replaced(folder, state)]
    for folder in set(found) - set(strangers):
        files.remove(folder)
    with suppress(MillraceError):  # a writer may be about to name them
        if strangers:
            with lease.hold(files, f"{log.root}/_writer"):
                for folder in census.leftovers(files, log.topic)[0]:
                    files.remove(folder)


def _replaced(folder: str, state: State) -> bool:
    generation, _, number = folder.rpartition("batch_id=")[2].rpartition("-")
    return generation == COMPACT or (number.isdigit() and state.has(generation, int(number)))


def _numbers(state: State) -> list[int]:
    return [int(known.rpartition("-")[2]) for known in state.known if known.startswith(f"{COMPACT}-")]


def _scattered(files: Files, topic: str, part: Part) -> bool:
    return not part.id.startswith(f"{COMPACT}-") and len(records.listed(files, topic, part)) > 1
