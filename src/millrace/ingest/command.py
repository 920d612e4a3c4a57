"""What `millrace ingest` does: put a feed, a sink and the loop together."""

import logging
import threading

from millrace.config import Settings
from millrace.errors import ConfigError
from millrace.ingest.bluesky import POSTS, TIMES_FROM, feed
from millrace.ingest.counts import Counts
from millrace.ingest.events import Cursor, Feed
from millrace.ingest.printer import Printer
from millrace.ingest.producer import KafkaSink
from millrace.ingest.run import Options, run, to_stderr


def bluesky(
    settings: Settings,
    options: Options,
    *,
    collections: list[str] | None = None,
    from_cursor: int | None = None,
    keep_raw: bool = False,
    printing: bool = False,
) -> Counts:
    """Carry Bluesky's posts into Kafka, or print them. Raises ConfigError, Unavailable and Fenced."""
    hosts = [url.strip() for url in settings.bluesky_url.split(",")]
    posts = feed(hosts, collections or [POSTS], keep_raw)
    if from_cursor is not None:
        options = options.begin(_cursor(hosts[0], from_cursor))
    return carry(posts, settings, options, printing)


def carry(feed: Feed, settings: Settings, options: Options, printing: bool = False) -> Counts:
    """Run the loop for `feed` until it ends; returns what it counted."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what goes wrong, the loop says in one line
    stop = threading.Event()
    if printing:
        return run(feed, Printer(stop), options, stop=stop)
    sink = KafkaSink(feed, settings.kafka_bootstrap, settings.partitions, stop=stop, say=to_stderr)
    return run(feed, sink, options, stop=stop)


def _cursor(host: str, position: int) -> Cursor:
    if position < 1 or TIMES_FROM // 1000 <= position < TIMES_FROM:
        raise ConfigError(f"--from-cursor {position}: a sequence number or microseconds since 1970 are wanted")
    return Cursor(host, position, 0)
