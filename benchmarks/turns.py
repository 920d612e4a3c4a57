"""A sink beside its bare client over the same rows, in turn, so that load hits both."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from benchmarks.report import Figure, number, ratio

GOAL = 0.9
Work = Callable[[], Any]


def compare(
    benchmark: str, what: str, *, size: int, unit: str, sink: Work, client: str, bare: Work, rounds: int
) -> Figure:
    """Return the sink's pace as a share of that of `client`; `size` is how many of `unit` each of both ways writes."""
    sink()  # from here on all of it is there already
    bare()
    taken = [(timed(sink), timed(bare)) for _ in range(rounds)]
    ours, plain = (median(times) for times in zip(*taken, strict=True))
    share = ratio(plain, ours)
    note = f"{number(size / ours)} {unit}/s, {client} {number(size / plain)}"
    return Figure(benchmark, what, share, "of bare", f">= {GOAL}", share >= GOAL, note)


def timed(work: Work) -> float:
    """Return the seconds that `work` takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began
