"""Posts whose label is known, from a CSV file."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from millrace.errors import ConfigError
from millrace.sentiment.labels import LABELS

TOLD = 10  # mistakes of a file


@dataclass(frozen=True)
class Labelled:
    """A post with the label that people gave it.

    `language` is a BCP 47 tag and `kind` any word, None where the file does not say. Of a post that tries to be
    labelled as something else, `clean` is the same post without the attempt.
    """

    text: str
    label: str
    language: str | None = None
    kind: str | None = None
    clean: str | None = None


def read(path: Path, *, twins: bool = False) -> list[Labelled]:
    """Read a file with the columns text and label, with `twins` also clean, perhaps language and kind, in any order.

    Raises ConfigError that names line and column of all that is wrong.
    """
    needed = ("text", "label", "clean") if twins else ("text", "label")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            found = list(_rows(csv.DictReader(file, strict=True), needed))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"byte {error.start} is no UTF-8"
        raise ConfigError(f"{path}: {reason}") from None
    wrong = [each for each in found if isinstance(each, str)]
    if wrong:
        more = f"; {len(wrong) - TOLD} more" if len(wrong) > TOLD else ""
        raise ConfigError(f"{path}: {'; '.join(wrong[:TOLD])}{more}")
    if not found:
        raise ConfigError(f"{path}: no row")
    return [each for each in found if isinstance(each, Labelled)]


def _rows(reader: "csv.DictReader[str]", needed: tuple[str, ...]) -> Iterator[Labelled | str]:
    """Yield each row as a post, or what is wrong in it; `line` is the one in which a row ends."""
    try:
        names = reader.fieldnames or []
        if wrong := [name for name in (*needed, "language", "kind") if names.count(name) > 1]:
            yield f"line 1: column {', '.join(wrong)} twice"
        if lacking := [name for name in needed if name not in names]:
            yield f"line 1: no column {', '.join(lacking)}"
            return
        for row in reader:
            mistakes = list(_mistakes(row, needed))
            yield from (f"line {reader.line_num}, {mistake}" for mistake in mistakes)
            if not mistakes:
                given = {name: row.get(name) or None for name in ("language", "kind", "clean")}
                yield Labelled(row["text"], row["label"], **given)
    except csv.Error as error:
        yield f"line {reader.reader.line_num}: {error}"  # the reader's own has not moved


def _mistakes(row: dict[str, str], needed: tuple[str, ...]) -> Iterator[str]:
    if None in row or None in row.values():
        known = [name for name in row if name and row[name] is not None]
        yield f"column {len(known) + 1}: fewer or more than the heading"
        return
    for name in needed:
        if not row[name].strip():
            yield f"column {name}: it is empty"
    if row["label"].strip() and row["label"] not in LABELS:
        yield f"column label: {row['label'][:40]!r} is none of {', '.join(LABELS)}"
