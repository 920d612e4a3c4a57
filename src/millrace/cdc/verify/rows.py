"""What both sides tell of rows."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import groupby
from operator import itemgetter

from millrace.cdc.replica import Replica

Key = tuple[str | None, ...]  # canonical texts of the key's columns, as the table orders its columns
Texts = tuple[str | None, ...]  # canonical texts of all columns
Sums = dict[int, tuple[int, int]]  # count and sum of hashes, by bucket
Hashed = tuple[int, Key, int]  # place, key and hash of a row
WRAP = 1 << 64  # ClickHouse's sums begin anew there


def key_of(replica: Replica, texts: Texts) -> Key:
    """Return the key among the texts of a row."""
    return tuple(text for field, text in zip(replica.fields, texts, strict=True) if field.key)


def by_key(rows: Iterable[tuple[Key, int]]) -> dict[Key, list[int]]:
    """Return the hashes of each key's rows, of which there should be one."""
    found: dict[Key, list[int]] = {}
    for key, hash in rows:
        found.setdefault(key, []).append(hash)
    return found


def unequal(source: Sums, target: Sums) -> list[int]:
    """Return the buckets whose sums differ."""

    def told(sums: Sums, bucket: int) -> tuple[int, int]:
        count, total = sums.get(bucket, (0, 0))
        return count, total % WRAP

    return sorted(each for each in source.keys() | target.keys() if told(source, each) != told(target, each))


def apart(source: Iterator[Hashed], target: Iterator[Hashed]) -> Iterator[Key]:
    """Yield the keys whose rows are not the same on both sides; both come in the order of their places."""
    ours, theirs = ((*row, side) for row in source for side in (0,)), ((*row, side) for row in target for side in (1,))
    for _, group in groupby(merge(ours, theirs, key=itemgetter(0)), key=itemgetter(0)):
        sides: Sequence[Counter[tuple[Key, int]]] = (Counter(), Counter())
        for _, key, hash, side in group:
            sides[side][key, hash] += 1
        if sides[0] != sides[1]:
            yield from {key for key, _ in (sides[0] - sides[1]) + (sides[1] - sides[0])}
