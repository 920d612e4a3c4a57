"""The topics that adapters fill (name, key, partitions, retention, schema), and what creates and lists topics."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic, OffsetSpec
from kafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from millrace.errors import Unavailable
from millrace.kafka.times import AHEAD, MILLISECOND

PATIENCE = 10_000  # milliseconds that a broker may take to answer at first, and to lead what is new
PACE = 0.02  # seconds between two looks at it
GIB = 1024**3
KEEP_BY_SIZE = {
    "retention.ms": "-1",  # time would be event time
    "retention.bytes": str(10 * GIB),  # per partition
    # One event dated in the future moves watermarks and drops what is honest: 5 minutes, and one for differing clocks.
    "message.timestamp.after.max.ms": str(AHEAD // MILLISECOND),
}
KEEP_FOREVER = {"retention.ms": "-1", "retention.bytes": "-1"}
KEEP_LATEST = {  # closed segments alone are compacted, so they close early
    "cleanup.policy": "compact",
    "segment.ms": "600000",
    "segment.bytes": str(16 * 1024**2),
}


@dataclass(frozen=True)
class Topic:
    """One topic: `key` says what its records are keyed by, `schema` names the shape of their values."""

    name: str
    key: str
    schema: str
    config: dict[str, str] = field(default_factory=lambda: dict(KEEP_BY_SIZE))
    partitions: int | None = None  # None: MILLRACE_PARTITIONS


BLUESKY = Topic("bluesky-raw-posts", key="id", schema="post.v1")
MASTODON = Topic("Mastodon_stream", key="id", schema="post.v1")
TWEETS = Topic("tweets", key="id", schema="post.v1")
TRADES = Topic("finnhub-trades", key="symbol", schema="trade.v1")
CURSORS = Topic("cursors", key="feed", schema="cursor.v1", config=KEEP_LATEST, partitions=1)
GAPS = Topic("gaps", key="source", schema="gap.v1", config=KEEP_FOREVER, partitions=1)
DEAD_LETTERS = Topic(
    "dead-letters", key="topic-partition-offset", schema="dead-letter.v1", config=KEEP_LATEST, partitions=1
)

FEEDS = (BLUESKY, MASTODON, TWEETS, TRADES)  # what adapters fill
BOOKS = (CURSORS, GAPS, DEAD_LETTERS)  # what is noted beside it
SOURCES = {"bluesky": BLUESKY, "mastodon": MASTODON, "tweets": TWEETS}  # of posts: --source NAME reads this topic
MARKETS = {"finnhub": TRADES}  # the same for trades


def candle_topic(name: str) -> Topic:
    """Return the topic of one symbol's candles, one partition: its readers see them in order."""
    return Topic(name, key="symbol, resolution, window_start", schema="candle.v1", partitions=1)


@contextmanager
def administrator(bootstrap: str) -> Iterator[KafkaAdminClient]:
    """Connect to ask for topics and more; raises Unavailable naming the brokers."""
    try:
        admin = KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=PATIENCE)
        try:
            yield admin
        finally:
            admin.close()
    except KafkaError as error:
        raise Unavailable(
            f"Kafka at {bootstrap} does not answer ({type(error).__name__}): start it with `millrace up`"
        ) from error


def existing(bootstrap: str) -> set[str]:
    """Return the names of all topics; raises Unavailable naming the brokers."""
    with administrator(bootstrap) as admin:
        return set(admin.list_topics())


def identities(bootstrap: str, names: Iterable[str]) -> tuple[str, dict[str, str]]:
    """Return the cluster's id and that of each topic, which another of the same name does not have."""
    with administrator(bootstrap) as admin:
        found = admin.describe_topics(list(names))
        return admin.describe_cluster()["cluster_id"], {topic["name"]: str(topic["topic_id"]) for topic in found}


def create(bootstrap: str, topics: Iterable[Topic], partitions: int) -> list[str]:
    """Create those of `topics` that do not exist yet and return their names, once each of their partitions is led.

    Raises Unavailable naming the brokers.
    """
    with administrator(bootstrap) as admin:
        there = set(admin.list_topics())
        missing = [topic for topic in topics if topic.name not in there]
        if missing:
            _create(admin, missing, partitions)
            _wait_for_leaders(admin, [topic.name for topic in missing])
    return [topic.name for topic in missing]


def _create(admin: KafkaAdminClient, topics: list[Topic], partitions: int) -> None:
    wanted = [NewTopic(topic.name, topic.partitions or partitions, -1, topic_configs=topic.config) for topic in topics]
    try:
        admin.create_topics(wanted)
    except TopicAlreadyExistsError:  # somebody else was faster
        return


def _wait_for_leaders(admin: KafkaAdminClient, names: list[str]) -> None:
    """Return once each partition answers: what a producer sent before could be refused for ever (KAFKA-15591)."""
    end = time.monotonic() + PATIENCE / 1000
    while True:
        try:
            for topic in admin.describe_topics(names):
                if topic["error_code"]:
                    raise for_code(topic["error_code"])(topic["name"])
                places = [TopicPartition(topic["name"], each["partition_index"]) for each in topic["partitions"]]
                admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
        except KafkaError as error:
            if not error.retriable or time.monotonic() > end:
                raise
            time.sleep(PACE)
        else:
            return
