"""Write whole windows alone: one of which a run has not read all records would put a smaller count over a right one."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import and_, or_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from millrace.kafka.topics import MARKETS, SOURCES
from millrace.sinks.together import Writer

log = logging.getLogger(__name__)
QUIET = 10  # batches without such a window, after which nobody looks for more of them
FEEDS = {topic.name: source for source, topic in (SOURCES | MARKETS).items()}


@dataclass(frozen=True)
class Lack:
    """Event times of which a run has not read all records of `topic`: from `start` up to `end`; None: no bound."""

    topic: str
    start: datetime | None
    end: datetime | None
    reason: str


def whole_windows(writer: Writer, lacks: Callable[[], Sequence[Lack]], topics: Sequence[str]) -> Writer:
    """Return `writer` without the windows that `lacks()` touches, which is asked once, at the first batch.

    How many they are is logged. Where several `topics` are read, what lacks of a feed's own topic concerns the rows of
    that feed alone. Rows without a window are written all.
    """
    broken: Column | None = None
    told: set[tuple[datetime, datetime]] = set()
    asked, quiet, reasons = False, 0, ""

    def write(batch: DataFrame, batch_id: int) -> None:
        nonlocal broken, asked, quiet, reasons
        if not asked:
            found = lacks() if "window_start" in batch.columns else ()
            sources = "source" in batch.columns and len(topics) > 1
            broken = reduce(or_, [_touched(lack, by_source=sources) for lack in found]) if found else None
            asked, reasons = True, "; ".join(dict.fromkeys(lack.reason for lack in found))
        if broken is None:
            writer(batch, batch_id)
            return
        if quiet < QUIET:
            batch = batch.persist()
            fresh = _windows(batch.filter(broken)) - told
            told.update(fresh)
            quiet = 0 if fresh else quiet + 1
            if fresh:
                log.warning("%d windows are not written, for they were not read whole: %s", len(told), reasons)
        try:
            writer(batch.filter(~broken), batch_id)
        finally:
            batch.unpersist()

    return write


def _windows(rows: DataFrame) -> set[tuple[datetime, datetime]]:
    return {
        (row.window_start, row.window_end) for row in rows.select("window_start", "window_end").distinct().collect()
    }


def _touched(lack: Lack, *, by_source: bool) -> Column:
    conditions = [F.lit(True)]
    if lack.end:
        conditions.append(F.col("window_start") < F.lit(lack.end))
    if lack.start:
        conditions.append(F.col("window_end") > F.lit(lack.start))
    if by_source and lack.topic in FEEDS:
        conditions.append(F.col("source") == FEEDS[lack.topic])
    return reduce(and_, conditions)
