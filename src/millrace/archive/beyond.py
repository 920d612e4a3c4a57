"""What Kafka holds of a topic beyond its archive: a window there is not whole in the archive."""

import logging
from collections.abc import Mapping
from datetime import datetime
from itertools import islice

from kafka import KafkaConsumer, TopicPartition

from millrace.errors import Unavailable
from millrace.kafka import browse, records
from millrace.kafka.times import counted

log = logging.getLogger(__name__)
HEAD = 1_000  # of the records after the archived ones, so many are looked at: they come out of order


def later(bootstrap: str, topic: str, archived: Mapping[int, int]) -> tuple[datetime | None, list[int]]:
    """Return the earliest time of the records beyond the archive, and the partitions of which that cannot be told.

    `archived` is one beyond the last archived offset of each partition. Unknown are partitions that Kafka no longer
    has, that lost records beyond the archived ones, or that were made anew; all of them if Kafka does not answer.
    """
    try:
        with browse.consumer(bootstrap) as reader:
            places = [TopicPartition(topic, number) for number in sorted(reader.partitions_for_topic(topic) or ())]
            earliest, ends = reader.beginning_offsets(places), reader.end_offsets(places)
            unknown = set(archived) - {place.partition for place in places}
            moments = []
            for place in places:
                after = archived.get(place.partition, 0)
                if place.partition in archived and not earliest[place] <= after <= ends[place]:
                    unknown.add(place.partition)
                elif moment := _first(reader, place, max(after, earliest[place]), ends[place]):
                    moments.append(moment)
            return min(moments, default=None), sorted(unknown)
    except Unavailable as error:
        log.warning("%s; what is beyond the archive is unknown", error)
        return None, sorted(archived)


def _first(reader: KafkaConsumer, place: TopicPartition, first: int, end: int) -> datetime | None:
    found = islice(records.between(reader, place, first, end), HEAD)
    return min(filter(None, (counted(record.timestamp) for record in found)), default=None)
