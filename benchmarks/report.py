"""Figures and how they are shown."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """One line of the report; `met` says whether `goal` was reached, None where there is none."""

    benchmark: str
    what: str
    value: float
    unit: str
    goal: str = ""
    met: bool | None = None
    note: str = ""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` (0 to 1) of `values` do not exceed; nan of nothing."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)] if ranked else math.nan


def ratio(part: float, whole: float) -> float:
    """Return part / whole; nan where there is no whole."""
    return part / whole if whole else math.nan


def number(value: float) -> str:
    """Write a value with three significant digits or, from 1000 on, as a whole number with separators."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(figures: Sequence[Figure], title: str) -> Table:
    """Lay the figures out, a section a benchmark."""
    grid = Table(title=title, title_justify="left")
    grid.add_column("benchmark")
    grid.add_column("what", overflow="fold")
    grid.add_column("value", justify="right")
    for name in ("unit", "goal", "met", "note"):
        grid.add_column(name, overflow="fold")
    for place, figure in enumerate(figures):
        if place and figures[place - 1].benchmark != figure.benchmark:
            grid.add_section()
        met = "" if figure.met is None else "yes" if figure.met else "NO"
        grid.add_row(
            figure.benchmark, figure.what, number(figure.value), figure.unit, figure.goal, met, figure.note
        )  # fmt: skip
    return grid
