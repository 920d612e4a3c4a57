"""Transactions that have ended, of which a partition was not told.

Kafka 4.3 takes a partition that has no leader for a deleted one and leaves out its marker (the broker logs "Couldn't
find leader endpoint"). Where one broker is all there is, that happens while it shuts down or starts: readers of
committed records would then wait there for good.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import AuthorizationError, KafkaError, UnsupportedVersionError, for_code
from kafka.protocol.producer.transaction import WriteTxnMarkersRequest

from millrace.kafka.topics import administrator

PATIENCE = 10.0  # seconds for a leader to be found, and for a transaction that is about to end
PAUSE = 0.1


@dataclass(frozen=True)
class Open:
    """What a partition takes for an open transaction; `start` is its first offset there."""

    place: TopicPartition
    start: int
    producer: int
    epoch: int
    coordinator: int  # the epoch of the last marker's coordinator


def close_forgotten(bootstrap: str, topics: Iterable[str] | None = None) -> list[Open]:
    """Write the markers that are missing in `topics` (None: all that are not Kafka's own), as the transactions ended.

    Call it before a producer begins anew: that wipes out how its last transaction ended. Returns what was closed,
    nothing where a cluster does not let us look. Raises Unavailable naming the brokers.
    """
    deadline = time.monotonic() + PATIENCE
    with administrator(bootstrap) as admin:
        while True:
            try:
                return _close(admin, topics)
            except (AuthorizationError, UnsupportedVersionError):
                return []
            except KafkaError as error:  # such as a topic so new that it has no leader yet
                if not error.retriable or time.monotonic() > deadline:
                    raise
            time.sleep(PAUSE)


def _close(admin: KafkaAdminClient, topics: Iterable[str] | None) -> list[Open]:
    wanted = set(topics) if topics is not None else None
    places = [
        TopicPartition(topic["name"], partition["partition_index"])
        for topic in admin.describe_topics()
        if (not topic["is_internal"] if wanted is None else topic["name"] in wanted)
        for partition in topic["partitions"]
    ]
    before = _look(admin, places)
    ended = _ended(admin, before) if before else {}
    # Open before and after its coordinator said that it has ended: nothing else will close it.
    forgotten = [each for each in before if (each.producer, each.epoch) in ended]
    closed = [each for each in forgotten if each in _look(admin, [each.place])]
    for each in closed:
        admin._manager.run(_mark, admin, each, ended[each.producer, each.epoch])
    return closed


def _look(admin: KafkaAdminClient, places: list[TopicPartition]) -> list[Open]:
    return [
        Open(
            place, each.current_transaction_start_offset, each.producer_id, each.producer_epoch, each.coordinator_epoch
        )
        for place, state in admin.describe_producers(places).items()
        for each in state.active_producers
        if each.current_transaction_start_offset >= 0
    ]


def _ended(admin: KafkaAdminClient, found: list[Open]) -> dict[tuple[int, int], bool]:
    """Return whether each ended transaction, by producer and epoch, was committed."""
    deadline = time.monotonic() + PATIENCE
    while True:
        listed = admin.list_transactions(producer_id_filters=sorted({each.producer for each in found}))
        names = [listing.transactional_id for listings in listed.values() for listing in listings]
        known = list(admin.describe_transactions(names).values())
        ending = any(each.state.value.startswith("Prepare") for each in known)
        if not ending or time.monotonic() > deadline:
            committed = {
                each.producer_id: each.producer_epoch for each in known if each.state.value == "CompleteCommit"
            }
            aborted = {each.producer_id: each.producer_epoch for each in known if each.state.value == "CompleteAbort"}
            timed_out = {producer: epoch - 1 for producer, epoch in aborted.items()}  # it was fenced as well
            return dict.fromkeys(committed.items(), True) | dict.fromkeys([*aborted.items(), *timed_out.items()], False)
        time.sleep(PAUSE)


async def _mark(admin: KafkaAdminClient, transaction: Open, committed: bool) -> None:
    """Write one marker; kafka-python's own call writes markers of aborts alone."""
    marker: Any = WriteTxnMarkersRequest.WritableTxnMarker
    topic = marker.WritableTxnMarkerTopic(name=transaction.place.topic, partition_indexes=[transaction.place.partition])
    written = marker(
        producer_id=transaction.producer,
        producer_epoch=transaction.epoch,
        transaction_result=committed,
        topics=[topic],
        coordinator_epoch=max(0, transaction.coordinator),
    )
    (leader,) = await admin._async_get_leader_for_partitions([transaction.place])
    response = await admin._manager.send(WriteTxnMarkersRequest(markers=[written]), node_id=leader)
    for result in response.markers:
        for answered in (partition for each in result.topics for partition in each.partitions):
            if answered.error_code:
                error: type[KafkaError] = for_code(answered.error_code)
                raise error(f"the marker of {transaction} was refused")
