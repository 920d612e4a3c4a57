"""Declare each result of an analysis once: its columns and key, and the topic, table and index that it fills.

A sink takes from a declaration what its store wants: a SQL table, a mapping, the topic. Nothing here knows a store.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from millrace import names
from millrace.kafka.columns import Column, Kind, decimal, double, flag, integer, key, key_time, text, time, unsigned
from millrace.kafka.topics import BOOKS, DEAD_LETTERS, FEEDS, SOURCES, Topic


@dataclass(frozen=True)
class TopicBy:
    """A topic for each value of `column`, all of one key and schema; rows of other values go to none."""

    column: str
    topics: Mapping[str, Topic]


@dataclass(frozen=True)
class Result:
    """The rows of one query: unique by their key columns.

    `columns` may leave out some if there is neither table nor index. `topic` is where the rows go in Kafka. With
    `table` they have a SQL table, called `name`, in which a row is replaced only by one that is not older by the column
    `order`, if there is one. With `version` they have an index in Elasticsearch, called as the topic, in which a
    document is replaced only by one that is not lower in that column. In MongoDB they are documents of `collection`,
    `DATABASE.NAME`, by default of one called `name` in the database that the sink's address names.
    """

    name: str
    columns: tuple[Column, ...]
    topic: Topic | TopicBy | None = None
    table: bool = True
    order: str | None = None
    version: str | None = None
    collection: str = ""

    @property
    def documents(self) -> str:
        """The name of the rows' collection in MongoDB."""
        return self.collection or self.name

    @property
    def rank(self) -> str | None:
        """The column by which a document is newer than another, None if the last one written is right."""
        return self.order or self.version

    @property
    def key(self) -> tuple[str, ...]:
        """The names of the key columns."""
        return tuple(column.name for column in self.columns if column.key)


def _published(name: str, topic: str, *columns: Column) -> tuple[str, tuple[Column, ...], Topic]:
    keys = ", ".join(column.name for column in columns if column.key)
    return name, columns, Topic(topic, key=keys, schema=name)


def windows(name: str, topic: str, *columns: Column, version: str | None = None) -> Result:
    """Return the result of counting in windows: one row per source, window and the key columns among `columns`."""
    window = (key("source", 16), key_time("window_start"), key_time("window_end"))
    return Result(*_published(name, topic, *window, *columns), version=version)


HASHTAG_COUNTS = windows("hashtag_counts", "hashtag-counts", key("hashtag", names.HASHTAG_LENGTH), integer("posts"))
LANGUAGE_COUNTS = windows("language_counts", "language-counts", key("language", 64), integer("posts"), version="posts")
AUTHOR_COUNTS = windows("author_counts", "author-counts", key("author", 300), integer("posts"))
POST_COUNTS = windows("post_counts", "mastodon-counts", integer("posts"))
ENGAGEMENT_WINDOWS = windows(
    "engagement_windows",
    "engagement-windows",
    integer("readings"),
    double("average_score"),
    double("max_score"),
    version="readings",
)
DASHBOARD = windows(  # the view minute_dashboard adds the top hashtag
    "dashboard_windows",
    "mastodon-dashboard",
    integer("posts"),
    integer("authors"),
    integer("bots"),
    double("average_score"),
    text("top_language", 64, exact=True),
)
ENGAGEMENT = Result(
    *_published(
        "post_engagement",
        "mastodon-engagement",
        key("id", 700),  # a Mastodon uri; MySQL's keys end at 768 characters
        text("source", 16, null=False),
        text("author", 300),
        text("language", 64),
        time("created_at", null=True),
        time("event_time"),
        integer("replies", null=True),
        integer("reblogs", null=True),
        integer("favourites", null=True),
        double("engagement_score", null=True),
        flag("deleted"),
        time("observed_at"),
    ),
    order="observed_at",
    version="observed_at",
)
POST_HASHTAGS = Result(
    *_published(
        "post_hashtags",
        "mastodon-hashtags",
        key("id", 700),
        text("source", 16),
        Column("hashtags", Kind.TEXTS),
        integer("hashtag_count"),
        time("created_at", null=True),
        time("observed_at"),
    ),
    table=False,
    version="observed_at",
)
FILTERED = Result(  # all fields of post.v1, but the Kafka timestamp is the time of writing
    *_published("filtered_posts", "mastodon-filtered", key("id", 700)), table=False
)
CANDLES = Result(  # a topic per symbol, set by each run
    "candles",
    (
        key("symbol", names.SYMBOL_LENGTH),
        key("resolution", 8),
        key_time("window_start"),
        time("window_end"),
        *(decimal(name, 24) for name in ("open", "high", "low", "close")),
        decimal("volume", 28),
        decimal("vwap", 24, null=True),
        integer("trades"),
        flag("complete"),  # false: the feed may have lost trades of the window
        integer("updates"),  # trades and price updates counted in the row
    ),
    TopicBy("symbol", {}),
    order="updates",
)
TWEET_CASES = Result(  # documents alone
    "twitter_collection",
    (
        key("hash", 64),
        text("source", 16, null=False),
        Column("content", Kind.TEXTS),
        text("timestamp", 32, null=False),
        *(integer(name, null=True) for name in names.CASE_NUMBERS),
        text("country", 64, null=False),
        text("as_of", 10, null=False),
        text("source_url", 300, null=False),
        time("window_start"),
        time("window_end"),
        integer("tweets"),
        integer("cut"),
        Column("hashtags", Kind.TAGS),
    ),
    table=False,
    order="tweets",
    collection="twitter_db.twitter_collection",
)


def _sentiment(source: str) -> Result:
    """Return what a model says of the posts of `source`: one shape for all, so that one query reads any."""
    return Result(
        *_published(
            f"{source}_sentiment",
            f"{source}-sentiment",
            unsigned("m_id", null=True),
            text("created_at", 32),  # the author's claim, ISO 8601
            text("username", 300),
            flag("bot", null=True),
            text("mastodon_text", 0),
            text("sentiment", 8),
            key("post_id", 700),
            double("score", null=True),
            text("language", 64),
            text("model", 200),
            text("prompt_version", 16),
            time("labelled_at", null=True),
            integer("latency_ms", null=True),
            integer("tokens", null=True),
            text("error", 300),
            time("event_time", null=True),
            text("hashtags", 4_000),  # apart by spaces, of which none has one
            integer("revision", null=True),  # of a newer edition higher, of two of one edition higher with a label
        ),
        order="revision",
        version="revision",
    )


SENTIMENT = {source: _sentiment(source) for source in SOURCES}
FEED_GAPS = Result(  # when a feed may have lost something
    "gaps", (key("source", 16), key_time("gap_start"), key_time("gap_end"), text("host", 300), text("reason", 300))
)
LETTERS = Result(  # of records that could not be read
    "dead_letters",
    (key("topic", 249), Column("partition", Kind.INTEGER, key=True), Column("offset", Kind.INTEGER, key=True)),
    DEAD_LETTERS,
    table=False,
)
RESULTS = (
    HASHTAG_COUNTS,
    LANGUAGE_COUNTS,
    AUTHOR_COUNTS,
    POST_COUNTS,
    ENGAGEMENT_WINDOWS,
    DASHBOARD,
    ENGAGEMENT,
    POST_HASHTAGS,
    FILTERED,
    CANDLES,
    TWEET_CASES,
    *SENTIMENT.values(),
    FEED_GAPS,
)
TOPICS = {  # every topic that `millrace up` creates, by name
    topic.name: topic for topic in (*FEEDS, *(each.topic for each in RESULTS if isinstance(each.topic, Topic)), *BOOKS)
}
