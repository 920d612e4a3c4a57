"""Read the archive instead of Kafka, and know what it lacks of a topic: beginning, gaps, what was not archived yet."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from millrace.archive import beyond, census, files, rows
from millrace.archive.log import Log, State
from millrace.config import Settings
from millrace.kafka.times import END
from millrace.spark.whole import Lack

log = logging.getLogger(__name__)
Span = tuple[Column | None, Column | None]


@dataclass
class Backfill:
    """One look at the archive: what a run reads of it, and what that lacks, are of the same moment."""

    states: dict[str, State] = field(default_factory=dict)

    def read(self, spark: SparkSession, settings: Settings, topics: Sequence[str]) -> DataFrame:
        """Return the archived records of `topics`; raises ConfigError if the archive has none of one."""
        archive = files.of(settings)
        for topic in census.chosen(archive, topics):
            state = self.states.setdefault(topic, Log(archive, topic).load())
            for partition, gaps in state.gaps().items():
                log.warning("the archive of %s[%s] lacks offsets: %s", topic, partition, gaps)
        frames = [self._rows(spark, archive.url, topic) for topic in topics]
        return reduce(DataFrame.unionByName, frames)

    def lacks(self, spark: SparkSession, settings: Settings) -> list[Lack]:
        """Return the times of which it has not all records.

        Where Kafka cannot tell, that is what came after its last batch. What ends after now is not whole either.
        """
        now = datetime.now(UTC)
        found = [lack for topic in self.states for lack in self._lacks(spark, settings, topic)]
        return [*found, *(Lack(topic, now, None, "they have not ended") for topic in self.states)]

    def _rows(self, spark: SparkSession, url: str, topic: str) -> DataFrame:
        return rows.read(spark, url, topic, self.states[topic].parts.values())

    def _lacks(self, spark: SparkSession, settings: Settings, topic: str) -> Iterator[Lack]:
        state = self.states[topic]
        ends = state.next()
        later, unknown = beyond.later(settings.kafka_bootstrap, topic, ends)
        begins = {partition: ranges[0][0] for partition, ranges in state.offsets.items() if ranges}
        spans: list[Span] = [(None, _first(partition, begin)) for partition, begin in begins.items() if begin]
        spans += [
            (_last(partition, first), _first(partition, end))
            for partition, gaps in state.gaps().items()
            for first, end in gaps
        ]
        if unknown and state.until:
            reason = f"what came to {topic} after its last batch was archived is unknown"
            yield Lack(topic, datetime.fromisoformat(state.until), None, reason)
        elif unknown:
            spans += [(_last(partition, ends[partition]), None) for partition in unknown]
        if spans:
            rows = self._rows(spark, files.of(settings).url, topic)
            records = rows.filter(F.unix_millis("timestamp").between(0, END - 1))  # no window lacks another
            for start, end in _times(records, spans):
                if start or end:  # else the partition has no records at all
                    yield Lack(topic, start, end, f"the archive of {topic} does not hold all its records")
        if later:
            yield Lack(topic, later, None, f"{topic} goes on after what is archived")


def _times(records: DataFrame, spans: Sequence[Span]) -> list[tuple[datetime | None, datetime | None]]:
    """Return the times that the columns of `spans` find among all archived records, in one pass over them."""
    wanted = {f"{number} {side}": column for number, span in enumerate(spans) for side, column in enumerate(span)}
    [found] = records.agg(*(column.alias(name) for name, column in wanted.items() if column is not None)).collect()
    times = {name: moment and moment.astimezone(UTC) for name, moment in found.asDict().items()}
    return [(times.get(f"{number} 0"), times.get(f"{number} 1")) for number in range(len(spans))]


def _first(partition: int, offset: int) -> Column:
    """Find the time of the first record of a partition at or after `offset`."""
    there = (F.col("partition") == partition) & (F.col("offset") >= offset)
    return F.min_by("timestamp", F.when(there, F.col("offset")))


def _last(partition: int, offset: int) -> Column:
    """Find the time of the last record of a partition before `offset`."""
    there = (F.col("partition") == partition) & (F.col("offset") < offset)
    return F.max_by("timestamp", F.when(there, F.col("offset")))
