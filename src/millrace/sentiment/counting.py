"""What came of the posts of each micro-batch, for the log and the metrics, and what may still be asked this hour."""

import logging
from collections import Counter, deque
from collections.abc import Iterable
from time import monotonic

import prometheus_client
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from millrace.sentiment.labelling import Labelling
from millrace.sentiment.labels import SKIPPED, Budget

log = logging.getLogger(__name__)
HOUR = 3600.0  # seconds
SAMPLED = 30.0  # seconds that a batch may ask, where the model is slower than the stream
POSTS = prometheus_client.Counter("millrace_sentiment_posts", "Posts by their label, or why none", ["job", "outcome"])
CALLS = prometheus_client.Counter("millrace_sentiment_calls", "Questions to the model", ["job"])
CUT = prometheus_client.Counter("millrace_sentiment_cut", "Posts of which the beginning was asked about", ["job"])


class Counted:
    """Counts what came of the posts of the job `name`, and holds it to its budget.

    With `sample` a batch asks for SAMPLED seconds at most; `hourly` are the posts of any hour at most, None: all.
    """

    def __init__(self, name: str, labelling: Labelling, sample: bool, hourly: int | None) -> None:
        self.name, self.sample, self.hourly = name, sample, hourly
        self.asked: deque[tuple[float, int]] = deque()  # when, and how many texts
        if labelling.cached:
            labelling.cache().create()
            if hourly:  # what was asked before this process began counts, too
                self.asked.append((monotonic(), labelling.cache().recent()))

    def budget(self) -> Budget:
        """Return what may be asked now."""
        seconds = SAMPLED if self.sample else None
        if self.hourly is None:
            return Budget(seconds)
        while self.asked and monotonic() - self.asked[0][0] > HOUR:
            self.asked.popleft()
        return Budget(seconds, max(self.hourly - sum(count for _, count in self.asked), 0))

    def count(self, labelled: DataFrame) -> None:
        """Count the rows of one batch, which are computed by that, and log what came of them."""
        outcome = F.coalesce("sentiment", F.substring_index("error", ":", 1))
        texts = F.count_distinct(F.when(F.col("asked") > 0, F.col("mastodon_text")))
        found = labelled.groupBy(outcome.alias("outcome")).agg(
            F.count("*"), F.count("sentiment"), texts, F.sum("asked"), F.sum(F.col("cut").cast("int"))
        )
        rows = [tuple(row) for row in found.collect()]
        if rows:
            self._tell(rows)

    def _tell(self, rows: Iterable[tuple[str, int, int, int, int, int]]) -> None:
        reasons: Counter[str] = Counter()
        posts = labels = texts = calls = cut = 0
        for outcome, count, labelled, distinct, asked, short in rows:
            POSTS.labels(self.name, outcome).inc(count)
            posts, labels, texts, calls, cut = (
                posts + count,
                labels + labelled,
                texts + distinct,
                calls + asked,
                cut + short,
            )
            if not labelled:
                reasons[outcome] += count
        CALLS.labels(self.name).inc(calls)
        CUT.labels(self.name).inc(cut)
        self.asked.append((monotonic(), texts))
        without = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        text = f"{posts} posts: {labels} labelled, {texts} texts asked" + (f"; without: {without}" if without else "")
        level = logging.WARNING if reasons[SKIPPED] or (posts and not labels) else logging.INFO
        log.log(level, "%s%s", text, f"; {cut} asked in part" if cut else "")
