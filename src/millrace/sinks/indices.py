"""The indices that the Elasticsearch sink fills: key, order and a strict mapping, which a template holds fast."""

from dataclasses import dataclass
from typing import Any

from millrace.sinks import cluster

KEYWORD, LONG, DOUBLE, DATE, BOOLEAN = ({"type": kind} for kind in ("keyword", "long", "double", "date", "boolean"))
WINDOW = {"source": KEYWORD, "window_start": DATE, "window_end": DATE}
WINDOW_KEY = ("source", "window_start", "window_end")
STAMP = "indexed_at"  # beside the columns of the rows: when the document was sent
EXISTS = 400  # the status of what somebody else created meanwhile


@dataclass(frozen=True)
class Index:
    """One index: documents are identified by the columns `key`; of two, the one that is not lower in `order` stays.

    `properties` are the columns with their types. A document with any other field is refused.
    """

    name: str
    key: tuple[str, ...]
    order: str
    properties: dict[str, dict[str, str]]

    @property
    def mappings(self) -> dict[str, Any]:
        """The mapping, with the time of indexing."""
        return {"dynamic": "strict", "properties": {**self.properties, STAMP: DATE}}


ENGAGEMENT = Index(
    "mastodon-engagement",
    ("id",),
    "observed_at",
    {
        **dict.fromkeys(("id", "source", "author", "language"), KEYWORD),
        **dict.fromkeys(("created_at", "event_time", "observed_at"), DATE),
        **dict.fromkeys(("replies", "reblogs", "favourites"), LONG),
        "engagement_score": DOUBLE,
        "deleted": BOOLEAN,
    },
)
POST_HASHTAGS = Index(
    "mastodon-hashtags",
    ("id",),
    "observed_at",
    {
        **dict.fromkeys(("id", "source", "hashtags"), KEYWORD),
        **dict.fromkeys(("created_at", "observed_at"), DATE),
        "hashtag_count": LONG,
    },
)
# Within a run, what was counted in a window only grows: a replayed batch brings the counts of an earlier moment.
LANGUAGE_COUNTS = Index(
    "language-counts", (*WINDOW_KEY, "language"), "posts", {**WINDOW, "language": KEYWORD, "posts": LONG}
)
ENGAGEMENT_WINDOWS = Index(
    "engagement-windows",
    WINDOW_KEY,
    "readings",
    {**WINDOW, "readings": LONG, "average_score": DOUBLE, "max_score": DOUBLE},
)
INDICES = {index.name: index for index in (ENGAGEMENT, POST_HASHTAGS, LANGUAGE_COUNTS, ENGAGEMENT_WINDOWS)}


def create(url: str, index: Index) -> None:
    """Create the template and the index where they do not exist; safe when several processes do it at once.

    An index that is there gets the columns that it lacks. Raises ConfigError when its own contradict ours or the user
    may not create it, Unavailable when the server does not answer.
    """
    client = cluster.connect(url)
    settings = {"number_of_shards": 1, "auto_expand_replicas": "0-1"}  # of a single node none: it stays green
    template = {"settings": settings, "mappings": index.mappings}
    with cluster.errors(url, f"index {index.name}"):
        client.indices.put_index_template(name=index.name, index_patterns=[index.name], template=template)
        client.options(ignore_status=EXISTS).indices.create(index=index.name)
        client.indices.put_mapping(index=index.name, **index.mappings)
