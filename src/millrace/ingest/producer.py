"""A feed's records and its cursor in one Kafka transaction: nothing lost, nothing doubled, no cursor file.

Two copies of a feed share one transactional id, so the newer fences the older. Whether a batch was committed
when the broker went away in the middle is read from the cursor: it carries the batch's number and its writer.
"""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace

from kafka import KafkaProducer
from kafka.errors import InvalidProducerEpochError, KafkaError, ProducerFencedError

from millrace.errors import MillraceError, Unavailable
from millrace.ingest.addresses import address, is_at
from millrace.ingest.backoff import Backoff
from millrace.ingest.committed import last_cursor, recent_ids
from millrace.ingest.events import SECOND, Clock, Cursor, DeadLetter, Event, Feed, Gap
from millrace.ingest.partition import partition
from millrace.ingest.values import cursor_value, gap_value, iso, letter_value
from millrace.kafka.topics import CURSORS, DEAD_LETTERS, GAPS, create
from millrace.kafka.transactions import close_forgotten

TRANSACTION = 30.0  # seconds until the broker aborts what a dead adapter left open
COMMIT = 15.0  # seconds to wait for a commit
CLAIM = 3.0  # seconds in which the copy that fenced this one has written its first cursor
FENCED = (ProducerFencedError, InvalidProducerEpochError)


class Fenced(MillraceError):
    """Another copy of the feed has taken over."""


class KafkaSink:
    """Where `feed` goes: its topic, `dead-letters`, `gaps` and `cursors`.

    `open` first, then `write`; `stop` ends the waiting for a broker that is away. Delivery: exactly once.
    """

    def __init__(
        self,
        feed: Feed,
        bootstrap: str,
        partitions: int,
        *,
        stop: threading.Event,
        say: Callable[[str], None],
        clock: Clock = time.time,
    ) -> None:
        self._feed, self._bootstrap, self._partitions = feed, bootstrap, partitions
        self._stop, self._say, self._clock = stop, say, clock
        self._owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._batch = 0
        self._producer: KafkaProducer | None = None
        self._previous: str | None = None  # who wrote the cursor that this copy replaces, until it has

    def open(self, cursor: Cursor | None = None) -> Cursor | None:
        """Create the topics, fence older copies and return the committed cursor (or `cursor`, when given).

        Raises Unavailable when Kafka does not answer.
        """
        create(self._bootstrap, (self._feed.topic, CURSORS, GAPS, DEAD_LETTERS), self._partitions)
        try:
            self._producer = self._connect()
            self._partitions = len(self._producer.partitions_for(self._feed.topic.name))
            committed = last_cursor(self._bootstrap, self._feed.name)
        except KafkaError as error:
            raise Unavailable(f"Kafka at {self._bootstrap}: {error}") from error
        self._previous = committed.owner if committed else None
        resumed = cursor or committed
        self.write(self._skipped(committed, cursor), resumed or Cursor("", 0, 0))  # claims the feed
        self._previous = None
        return resumed if resumed and resumed.position else None

    def recent(self, limit: int) -> list[str]:
        """Return the event ids of the last records, oldest first."""
        return recent_ids(self._bootstrap, self._feed.topic.name, limit)

    def write(self, items: Sequence[Event | DeadLetter | Gap], cursor: Cursor) -> None:
        """Commit `items` and `cursor` in one transaction, through any outage of the broker.

        Raises Fenced when another copy has taken over, Unavailable when told to stop during an outage.
        """
        self._batch += 1
        stamped = replace(cursor, batch=self._batch, owner=self._owner)
        backoff = Backoff(cap=10.0)
        while True:
            try:
                if self._producer is None:
                    self._producer = self._connect()
                    if self._is_committed():  # no other copy commits any more, so what it tells holds
                        return None
                return self._commit(self._producer, items, stamped)
            except (KafkaError, TimeoutError, Unavailable) as error:
                self._recover(error, backoff.delay(), len(items))

    def close(self) -> None:
        """Leave the broker."""
        if self._producer is not None:
            self._discard(self._producer)

    def _skipped(self, committed: Cursor | None, chosen: Cursor | None) -> list[Gap]:
        """Return what lies between the committed cursor and a later one that somebody chose."""
        if committed is None or chosen is None or not committed.seen:
            return []
        further = is_at(committed.host, chosen.host) and chosen.position > committed.position
        if not (chosen.moment > committed.seen if chosen.moment else further):
            return []
        end = chosen.moment or int(self._clock() * SECOND)
        self._say("gap: what lies between the committed cursor and the one that was chosen")
        return [Gap(self._feed.name, address(chosen.host), committed.seen, end, "a later cursor was chosen")]

    def _connect(self) -> KafkaProducer:
        close_forgotten(self._bootstrap, (self._feed.topic.name, CURSORS.name, GAPS.name, DEAD_LETTERS.name))
        producer = KafkaProducer(
            bootstrap_servers=self._bootstrap,
            transactional_id=f"millrace-ingest-{self._feed.name}",
            transaction_timeout_ms=int(TRANSACTION * 1000),
            bootstrap_timeout_ms=5_000,
            max_block_ms=10_000,
            reconnect_backoff_max_ms=1_000,
            request_timeout_ms=10_000,
            delivery_timeout_ms=15_000,
            max_request_size=4 << 20,
            batch_size=512 << 10,
            retry_backoff_ms=20,
            linger_ms=1_000,  # the commit flushes
            metrics_enabled=False,
        )
        try:
            producer.init_transactions()
        except KafkaError:
            self._discard(producer)
            raise
        return producer

    def _commit(self, producer: KafkaProducer, items: Sequence[Event | DeadLetter | Gap], cursor: Cursor) -> None:
        now = int(self._clock() * SECOND)
        ingested_at = ("ingested_at", iso(now).encode())
        producer.begin_transaction()
        for item in items:
            self._send(producer, item, ingested_at, now // 1000)
        producer.send(CURSORS.name, cursor_value(cursor), self._feed.name.encode(), timestamp_ms=now // 1000)
        _within(COMMIT, producer.commit_transaction)

    def _send(
        self,
        producer: KafkaProducer,
        item: Event | DeadLetter | Gap,
        ingested_at: tuple[str, bytes],
        now: int,
    ) -> None:
        if isinstance(item, Event):
            headers = [self._schema, ingested_at, ("event_id", item.event_id.encode())]
            place = partition(item.key, self._partitions)
            producer.send(item.topic, item.value, item.key, headers, place, item.event_time // 1000)
        elif isinstance(item, DeadLetter):
            key = f"{self._feed.name}-{item.position or 0}-{item.sha256[:16]}"
            producer.send(DEAD_LETTERS.name, letter_value(item, self._feed.topic.name), key.encode(), timestamp_ms=now)
        else:
            producer.send(GAPS.name, gap_value(item), item.source.encode(), timestamp_ms=now)

    @property
    def _schema(self) -> tuple[str, bytes]:
        return ("schema", self._feed.topic.schema.encode())

    def _recover(self, error: Exception, delay: float, records: int) -> None:
        """Give the producer up and wait; the batch stays in memory."""
        cause: Exception | None = error
        if self._producer is not None:
            cause = self._producer._transaction_manager.last_error or error  # calls wrap it in texts of their own
            self._discard(self._producer)
            self._producer = None
        if isinstance(cause, FENCED):
            delay = CLAIM
        else:
            text = str(error) or type(error).__name__
            self._say(f"Kafka at {self._bootstrap}: {text}; {records} records wait; next attempt in {delay:.1f} s")
        if self._stop.wait(delay):
            raise Unavailable(f"Kafka at {self._bootstrap}: stopped with {records} records not committed")
        self._look_for_others()

    def _look_for_others(self) -> None:
        """The broker also fences a copy whose transaction lasted too long: ask the cursor before going on."""
        with suppress(KafkaError, Unavailable):
            self._refuse_others(last_cursor(self._bootstrap, self._feed.name, settled=False))

    def _is_committed(self) -> bool:
        found = last_cursor(self._bootstrap, self._feed.name)
        self._refuse_others(found)
        return found is not None and found.owner == self._owner and found.batch >= self._batch

    def _refuse_others(self, found: Cursor | None) -> None:
        if found and found.owner not in (self._owner, self._previous):
            raise Fenced(f"another copy of this feed has taken over ({found.owner}): this one ends")

    def _discard(self, producer: KafkaProducer) -> None:
        # close() alone would leave the sender's thread retrying for ever while the broker is away
        producer._sender.force_close()
        with suppress(KafkaError):
            producer.close(timeout=2)


def _within(seconds: float, call: Callable[[], object]) -> None:
    """Wait for a call that has no time-out of its own; raises TimeoutError."""
    outcome: Future[None] = Future()

    def work() -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001  raised again below
            outcome.set_exception(error)
        else:
            outcome.set_result(None)

    threading.Thread(target=work, daemon=True).start()
    outcome.result(seconds)
