"""Transactions that a real broker has forgotten in one partition: closed as they ended, all others left alone."""

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.producer.transaction_manager import TransactionManager
from tests.support import Child, new_topic, wait

from millrace.config import Settings
from millrace.ingest.committed import keys, recent_ids
from millrace.kafka.topics import administrator
from millrace.kafka.transactions import close_forgotten
from millrace.simulate import bluesky
from millrace.simulate.scenario import Scenario

VERIFIED = "transaction.partition.verification.enable"


@contextmanager
def unverified(bootstrap: str) -> Iterator[None]:
    """A broker that takes records of a transaction for partitions of which its coordinator knows nothing."""
    with administrator(bootstrap) as admin:

        def verify(value: str) -> None:
            admin.alter_configs([ConfigResource(ConfigResourceType.BROKER, "1", configs={VERIFIED: value})])

        verify("false")
        try:
            yield
        finally:
            verify("true")


@contextmanager
def transacting(bootstrap: str, name: str, timeout: int = 30_000) -> Iterator[KafkaProducer]:
    options = {"transactional_id": name, "transaction_timeout_ms": timeout, "metrics_enabled": False}
    made = KafkaProducer(bootstrap_servers=bootstrap, **options)
    made.init_transactions()
    try:
        yield made
    finally:
        made._sender.force_close()
        made.close(timeout=2)


def forget(bootstrap: str, name: str, told: str, forgotten: str, *, end: str, value: bytes = b"x") -> None:
    """Let a transaction end, by a call or by time, of which the partition of `forgotten` is not told."""
    place = TopicPartition(forgotten, 0)
    timeout = 1_000 if end == "timeout" else 30_000
    with unverified(bootstrap), transacting(bootstrap, name, timeout) as producer:
        manager: TransactionManager = producer._transaction_manager
        producer.begin_transaction()
        manager._partitions_in_transaction.add(place)  # so that the coordinator never hears of it
        producer.send(forgotten, value, b"bluesky", partition=0).get(30)
        producer.send(told, value, partition=0).get(30)
        if end == "timeout":
            wait(lambda: len(set(ends(bootstrap, told))) == 1, "end of the transaction")
        else:
            getattr(producer, end)()


def ends(bootstrap: str, topic: str) -> tuple[int, int]:
    """Return up to where readers of committed records get, and where the log ends."""
    place = TopicPartition(topic, 0)
    found = []
    for isolation in ("read_committed", "read_uncommitted"):
        with KafkaConsumer(bootstrap_servers=bootstrap, isolation_level=isolation) as consumer:
            found.append(consumer.end_offsets([place])[place])
    return found[0], found[1]


@pytest.mark.parametrize(
    "look",
    [
        lambda *place: recent_ids(*place, 100),
        lambda *place: list(map(bytes.decode, keys(*place))),
    ],
    ids=["recent ids", "all keys"],
)
def test_what_is_hidden_behind_the_transaction_of_another_is_waited_for(kafka: Settings, look: Any) -> None:
    """Else an adapter would write again what it had written while another one was killed in the middle."""
    place = kafka.kafka_bootstrap, new_topic(kafka.kafka_bootstrap, partitions=1)
    with transacting(kafka.kafka_bootstrap, f"open-{uuid.uuid4().hex}") as other, ThreadPoolExecutor() as pool:
        other.begin_transaction()
        other.send(place[1], b"x", b"other", partition=0).get(30)
        with KafkaProducer(bootstrap_servers=kafka.kafka_bootstrap) as producer:
            for name in (b"1", b"2"):
                producer.send(place[1], b"x", name, [("event_id", name)], partition=0).get(30)
        found = pool.submit(look, *place)
        with pytest.raises(TimeoutError):
            found.result(timeout=2)  # it waits, however long
        other.abort_transaction()
        assert found.result(timeout=60) == ["1", "2"]


def committed(bootstrap: str, topic: str) -> list[bytes]:
    place = TopicPartition(topic, 0)
    with KafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed") as consumer:
        consumer.assign([place])
        consumer.seek_to_beginning()
        end, found = consumer.end_offsets([place])[place], []
        while consumer.position(place) < end:
            found += [record.value for record in consumer.poll(500).get(place, ())]
    return found


@pytest.mark.parametrize("end", ["commit_transaction", "abort_transaction", "timeout"])
def test_it_is_closed_as_it_ended(kafka: Settings, end: str) -> None:
    bootstrap = kafka.kafka_bootstrap
    told, forgotten = new_topic(bootstrap), new_topic(bootstrap)
    forget(bootstrap, f"forgotten-{end}", told, forgotten, end=end)
    readable, last = ends(bootstrap, forgotten)
    assert readable < last
    assert [each.place.topic for each in close_forgotten(bootstrap, [told, forgotten])] == [forgotten]
    assert ends(bootstrap, forgotten) == (last + 1, last + 1)
    assert (
        committed(bootstrap, forgotten) == committed(bootstrap, told) == ([b"x"] if end == "commit_transaction" else [])
    )
    assert close_forgotten(bootstrap) == []


def test_one_that_goes_on_is_left_alone(kafka: Settings) -> None:
    bootstrap = kafka.kafka_bootstrap
    topic = new_topic(bootstrap)
    with transacting(bootstrap, "goes-on") as producer:
        for value in (b"first", b"second"):
            producer.begin_transaction()
            producer.send(topic, value, partition=0).get(30)
            assert close_forgotten(bootstrap) == []
            assert ends(bootstrap, topic)[0] < ends(bootstrap, topic)[1]
            producer.commit_transaction()
    assert committed(bootstrap, topic) == [b"first", b"second"]


def test_an_adapter_goes_on_after_one(kafka: Settings, tmp_path: Any, begin: Callable[..., Any]) -> None:
    """The cursor of its last commit is hidden behind it: without the marker it would wait, then give up."""
    forget(kafka.kafka_bootstrap, "millrace-ingest-bluesky", "gaps", "cursors", end="abort_transaction", value=b"{}")
    with bluesky.running(Scenario(seed=9, count=50, speed=0)) as url:
        place = ["--bootstrap", kafka.kafka_bootstrap, "--home", str(tmp_path)]
        child = begin(Child, tmp_path, "ingest", "bluesky", "--url", url, *place, "--limit", "10", "--from-cursor", "1")
        assert child.ends(50) == 0, child.text()
