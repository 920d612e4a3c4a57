"""What a comparison found, as a table and as the file <home>/run/cdc-verify.json of the last one."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MISSING, ALONE, DIFFERENT = "missing", "there alone", "different"  # in ClickHouse
CUT = 200  # characters of a text that are told


@dataclass(frozen=True)
class Cell:
    """A column whose values differ: its canonical texts, cut, None for null."""

    column: str
    source: str | None
    target: str | None


@dataclass(frozen=True)
class Difference:
    """One key that differs: `what` is missing, there alone, or different in `cells`."""

    key: dict[str, str | None]
    what: str
    cells: tuple[Cell, ...] = ()


@dataclass(frozen=True)
class Table:
    """What was found of one table: rows of the source, and how many keys are equal, differ, and are in motion.

    `more` says that there are further differences which were not looked at one by one; `differences` are the first.
    Columns `left_out` are kept as a text of Debezium's that PostgreSQL cannot tell.
    """

    table: str
    rows: int
    equal: int
    differing: int
    moving: int
    more: bool
    seconds: float
    differences: tuple[Difference, ...]
    left_out: tuple[str, ...]

    def row(self) -> dict[str, Any]:
        """Return the line of the report."""
        return {
            "table": self.table,
            "rows": self.rows,
            "equal": f"{self.equal}{' at most' if self.more else ''}",
            "differing": f"{self.differing}{' at least' if self.more else ''}",
            "in motion": self.moving,
            "seconds": round(self.seconds, 1),
        }

    def lines(self) -> list[dict[str, Any]]:
        """Return a line a difference, one a column where rows are different."""
        return [
            {
                "table": self.table,
                "key": ", ".join(f"{name}={_shown(text)}" for name, text in each.key.items()),
                "in ClickHouse": each.what,
                "column": cell.column if cell else "",
                "PostgreSQL has": _shown(cell.source) if cell else "",
                "ClickHouse has": _shown(cell.target) if cell else "",
            }
            for each in self.differences
            for cell in each.cells or (None,)
        ]


@dataclass(frozen=True)
class Verdict:
    """What was found of all tables at `lsn` of the source; `behind` says why ClickHouse may not be there yet."""

    lsn: str
    at: str
    behind: str
    tables: tuple[Table, ...]

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not any(table.differing or table.more for table in self.tables)

    @property
    def text(self) -> str:
        """The verdict in one sentence."""
        differing, moving = (sum(getattr(table, name) for table in self.tables) for name in ("differing", "moving"))
        what = "ClickHouse equals PostgreSQL" if self.equal else f"{differing} keys differ"
        rest = f"; {moving} keys changed at each look" if moving else ""
        names = [f"{table.table}.{name}" for table in self.tables for name in table.left_out]
        without = f"; not compared, for their texts are Debezium's own: {', '.join(names)}" if names else ""
        why = f"; ClickHouse may be behind: {self.behind}" if self.behind and not self.equal else ""
        return f"{what} at {self.lsn}{rest}{without}{why}"

    def save(self, home: Path) -> None:
        """Keep it as the last verdict below `home`."""
        path = home / "run" / "cdc-verify.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}.part")
        fresh.write_text(json.dumps({"equal": self.equal, **asdict(self)}, indent=1))
        fresh.replace(path)


def difference(
    names: Sequence[tuple[str, bool]], source: Sequence[str | None], target: Sequence[str | None]
) -> Difference:
    """Return what differs between the texts of a row; of `names` are those and whether they are of the key.

    Empty texts are of a row that is not there.
    """
    texts = source or target
    key = {name: cut(text) for (name, is_key), text in zip(names, texts, strict=True) if is_key}
    if not source or not target:
        return Difference(key, ALONE if target else MISSING)
    pairs = zip(names, source, target, strict=True)
    cells = (Cell(name, *apart(ours, theirs)) for (name, _), ours, theirs in pairs if ours != theirs)
    return Difference(key, DIFFERENT, tuple(cells))


def apart(source: str | None, target: str | None) -> tuple[str | None, str | None]:
    """Return both texts, cut so that the place where they begin to differ is shown."""
    same = os.path.commonprefix([source or "", target or ""])  # noqa: RUF071 - characters are what is meant
    start = max(0, len(same) - CUT // 2) if max(len(source or ""), len(target or "")) > CUT else 0
    return cut(source, start), cut(target, start)


def cut(text: str | None, start: int = 0) -> str | None:
    """Return the part of a text from `start` on that is told."""
    if text is None:
        return None
    end = "…" if len(text) > start + CUT else ""
    return f"{'…' if start else ''}{text[start : start + CUT]}{end}"


def _shown(text: str | None) -> str:
    """Return a text so that blanks, and an empty one, are seen; null without quotes."""
    return "NULL" if text is None else f"'{text}'"
