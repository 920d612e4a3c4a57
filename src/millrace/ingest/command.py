"""What `millrace ingest` does: put a feed, a sink and the loop together."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from millrace import names
from millrace.config import Settings
from millrace.errors import ConfigError
from millrace.ingest.bluesky.feed import feed
from millrace.ingest.bluesky.posts import POSTS
from millrace.ingest.counts import Counts
from millrace.ingest.events import SECOND, TIMES_FROM, Cursor, Feed
from millrace.ingest.finnhub.feed import feed as finnhub_feed
from millrace.ingest.finnhub.feed import missing as no_token
from millrace.ingest.mastodon.feed import feed as mastodon_feed
from millrace.ingest.mastodon.feed import remember
from millrace.ingest.mastodon.history import recall
from millrace.ingest.mastodon.memory import Memory
from millrace.ingest.mastodon.plan import Plan
from millrace.ingest.mastodon.timeline import REREAD
from millrace.ingest.printer import Printer
from millrace.ingest.producer import KafkaSink
from millrace.ingest.run import Options, Say, run, to_stderr
from millrace.ingest.tweets import file as tweets_file
from millrace.ingest.tweets.feed import feed as tweets_feed
from millrace.ingest.tweets.shapes import Reading


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


def mastodon(
    settings: Settings,
    options: Options,
    plan: Plan,
    *,
    printing: bool = False,
    quiet: bool = False,
) -> Counts:
    """Carry the posts that `plan` names into Kafka, or print them. Raises ConfigError, Unavailable and Fenced.

    The watchdog of `options` watches both streams and polling, where each answer has that time, too.
    """
    plan = replace(plan, timeout=min(plan.timeout, options.watchdog))
    say = _problems if quiet else to_stderr
    memories = remember(plan)
    if not printing:
        _recall(settings, plan, memories, say)
    token = settings.mastodon_access_token
    posts = mastodon_feed(plan, token.get_secret_value() if token else None, memories=memories, say=say)
    return carry(posts, settings, options, printing, say)


def finnhub(settings: Settings, options: Options, symbols: Sequence[str], *, printing: bool = False) -> Counts:
    """Carry the trades of `symbols` into Kafka, or print them. Raises ConfigError, Unavailable and Fenced."""
    wanted = list(names.symbol_topics(symbols))
    token = settings.finnhub_token
    if token is None:
        raise no_token()
    return carry(finnhub_feed(settings.finnhub_url, wanted, token, say=to_stderr), settings, options, printing)


def tweets(settings: Settings, options: Options, reading: Reading, *, printing: bool = False) -> Counts:
    """Carry the tweets of a generator into Kafka, or print them. Raises ConfigError, Unavailable and Fenced."""
    hosts = [url.strip() for url in settings.tweets_url.split(",")]
    return carry(tweets_feed(hosts, reading), settings, options, printing)


def recorded_tweets(
    path: Path, settings: Settings, options: Options, reading: Reading, *, printing: bool = False
) -> Counts:
    """Carry the tweets of a file into Kafka, or print them; of `options`, there is a limit alone.

    Raises ConfigError, MillraceError, Unavailable and Fenced.
    """
    if replace(options, limit=None) != Options():
        raise ConfigError(
            "--file is read once, to its end or --limit: of a live feed are --seconds, --watchdog, --metrics-port"
        )
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    return tweets_file.carry(path, settings, reading, limit=options.limit, printing=printing)


def carry(feed: Feed, settings: Settings, options: Options, printing: bool = False, say: Say = to_stderr) -> Counts:
    """Run the loop for `feed` until it ends; returns what it counted."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what goes wrong, the loop says in one line
    stop = threading.Event()
    if printing:
        return run(feed, Printer(stop), options, stop=stop, say=say)
    sink = KafkaSink(feed, settings.kafka_bootstrap, settings.partitions, stop=stop, say=say)
    return run(feed, sink, options, stop=stop, say=say)


def _recall(settings: Settings, plan: Plan, memories: Mapping[str, Memory], say: Say) -> None:
    posts = recall(settings.kafka_bootstrap, memories, max(REREAD, *plan.revisit, 0), int(time.time() * SECOND))
    if posts and plan.revisit:
        say(f"{posts} posts in Kafka are remembered: those that are due are looked up again")


def _problems(line: str) -> None:
    """Leave out what is said while all goes well."""
    if not line.startswith("done: ") and " buffered, " not in line and " are remembered: " not in line:
        to_stderr(line)


def _cursor(host: str, position: int) -> Cursor:
    if position < 1 or TIMES_FROM // 1000 <= position < TIMES_FROM:
        raise ConfigError(f"--from-cursor {position}: a sequence number or microseconds since 1970 are wanted")
    return Cursor(host, position, 0)
