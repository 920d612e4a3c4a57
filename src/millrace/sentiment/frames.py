"""Rows with a label: what Spark's tasks do to the rows of `queries.sentiment.editions`, partition by partition."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pandas as pd
from clickhouse_cityhash.cityhash import CityHash64
from pyspark import TaskContext
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from millrace.sentiment.labelling import Labelling
from millrace.sentiment.labels import NO_TEXT, UNLIMITED, Budget, Outcome, Text

Frames = Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]
OUTCOME = {"sentiment": "string", "score": "double", "labelled_at": "timestamp", "latency_ms": "bigint",
           "tokens": "bigint", "error": "string", "cut": "boolean", "asked": "bigint"}  # fmt: skip
COLUMNS = {
    "m_id": "decimal(20, 0)", "created_at": "string", "username": "string", "bot": "boolean", "mastodon_text": "string",
    "post_id": "string", "language": "string", "event_time": "timestamp", "hashtags": "string", "revision": "bigint",
    "model": "string", "prompt_version": "string", **OUTCOME,
}  # fmt: skip
SCHEMA = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
COUNTED = ("cut", "asked")  # are no columns of the result: for who counts what happened


def dealt(rows: DataFrame, tasks: int) -> DataFrame:
    """Return `rows` in `tasks` partitions, with equal texts in one, and as many texts in each: none ends long after."""
    by_text = Window.partitionBy(F.lit(0)).orderBy("mastodon_text")
    return (
        rows.withColumn("_place", F.dense_rank().over(by_text)).repartitionById(tasks, F.col("_place")).drop("_place")
    )


@dataclass(frozen=True)
class Labelled:
    """The function that `mapInPandas` calls for a partition: all of its rows are labelled together.

    A micro-batch is what a partition holds at most, and it stands in memory.
    """

    labelling: Labelling
    budget: Budget = UNLIMITED  # of all
    tasks: int = 1

    def of(self, batch: DataFrame) -> DataFrame:
        """Return the rows of `batch` as SCHEMA says, each text in one of the tasks."""
        return dealt(batch, self.tasks).mapInPandas(self, SCHEMA)

    def __call__(self, frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """Yield the rows of `frames` as SCHEMA says."""
        found = [each for each in frames if len(each)]
        if found:
            yield self.rows(pd.concat(found, ignore_index=True) if len(found) > 1 else found[0])

    def _share(self) -> Budget:
        """Return this task's part of the budget."""
        if self.budget.texts is None:
            return self.budget
        context = TaskContext.get()
        each, more = divmod(self.budget.texts, self.tasks)
        return replace(self.budget, texts=each + (context is not None and context.partitionId() < more))

    def rows(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return `rows` with what became of their texts."""
        texts = [None if _blank(each) else each for each in rows["mastodon_text"]]
        languages = [None if _missing(each) else each for each in rows["language"]]
        asked = [Text(text, language) for text, language in zip(texts, languages, strict=True) if text is not None]
        outcomes = iter(self.labelling.label(asked, self._share()))
        told = [None if text is None else next(outcomes) for text in texts]
        labeller = self.labelling.labeller()
        identified = [_number(each, name) for each, name in zip(rows["m_id"], rows["post_id"], strict=True)]
        labelled = rows.assign(
            **{name: pd.Series([row[at] for row in map(_values, told)], dtype=KINDS.get(name, "object"))
               for at, name in enumerate(OUTCOME)},
            m_id=pd.Series(identified, dtype="object"),
            model=labeller.model,
            prompt_version=labeller.prompt_version,
        )  # fmt: skip
        labelled["revision"] += labelled["sentiment"].notna()
        return labelled[list(COLUMNS)]


KINDS: dict[str, Any] = {
    "score": "float64",
    "labelled_at": "datetime64[us, UTC]",
    "latency_ms": "Int64",
    "tokens": "Int64",
    "asked": "int64",
}


def _values(outcome: Outcome | None) -> tuple[Any, ...]:
    if outcome is None:
        return None, None, None, None, None, NO_TEXT, False, 0
    return (
        outcome.label, outcome.score, outcome.at, outcome.latency_ms, outcome.tokens, outcome.error, outcome.cut,
        outcome.asked,
    )  # fmt: skip


def _number(found: Any, post_id: str) -> Decimal:
    """Return the provider's numeric id, else ClickHouse's cityHash64 of the post's id."""
    return found if isinstance(found, Decimal) else Decimal(CityHash64(post_id.encode()))


def _blank(text: Any) -> bool:
    return _missing(text) or not text.strip()


def _missing(value: Any) -> bool:
    return not isinstance(value, str)
