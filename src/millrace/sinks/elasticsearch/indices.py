"""Define the Elasticsearch indices: key, order and a strict mapping, which an index template enforces."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from millrace.errors import ConfigError
from millrace.kafka.columns import Column, Kind
from millrace.kafka.results import RESULTS, Result
from millrace.kafka.topics import Topic
from millrace.sinks.elasticsearch import cluster

KEYWORD, TEXT, LONG, DOUBLE, DATE, BOOLEAN = (
    {"type": kind} for kind in ("keyword", "text", "long", "double", "date", "boolean")
)
TYPES = {
    Kind.TEXT: KEYWORD,
    Kind.TEXTS: KEYWORD,  # each field may hold a list
    Kind.INTEGER: LONG,
    Kind.UNSIGNED: KEYWORD,  # such numbers name things
    Kind.DOUBLE: DOUBLE,
    Kind.DECIMAL: DOUBLE,  # the exact number stays in the document
    Kind.TIME: DATE,
    Kind.FLAG: BOOLEAN,
}
STAMP = "indexed_at"  # beside the columns of the rows: when the document was sent
WINDOW = "window_start"  # by this column, if there is one, windows are overwritten
NOTE = "overwritten"  # in the mapping's _meta: the generation of windows by the time from which on they have it
EXISTS = 400  # the status if somebody else created it meanwhile


@dataclass(frozen=True)
class Index:
    """One index: documents are identified by the columns `key`; a lower `order` never replaces a higher one.

    `properties` are the columns with their types. A document with any other field is refused.
    """

    name: str
    key: tuple[str, ...]
    order: str
    properties: dict[str, dict[str, str]]

    @property
    def mappings(self) -> dict[str, Any]:
        """The strict mapping: `properties` and the time of indexing."""
        return {"dynamic": "strict", "properties": {**self.properties, STAMP: DATE}}


def index_of(result: Result) -> Index:
    """Return the index of `result`, named as its topic; raises ConfigError if it has none."""
    if not isinstance(result.topic, Topic) or result.version is None:
        raise ConfigError(f"{result.name} has no index")
    properties = {column.name: _type(column) for column in result.columns}
    return Index(result.topic.name, result.key, result.version, properties)


def _type(column: Column) -> dict[str, str]:
    return TEXT if column.kind is Kind.TEXT and not column.size else TYPES[column.kind]  # a keyword ends at 32 kB


INDICES = {index.name: index for index in (index_of(each) for each in RESULTS if each.version)}


def create(url: str, index: Index) -> None:
    """Write the index template and create the index if it is missing; several processes may do so at once.

    An existing index gets the columns that it lacks. Raises ConfigError when its own contradict ours or the user may
    not create it, Unavailable when the server does not answer.
    """
    client = cluster.connect(url)
    settings = {"number_of_shards": 1, "auto_expand_replicas": "0-1"}  # of a single node none: it stays green
    template = {"settings": settings, "mappings": index.mappings}
    with cluster.errors(url, f"index {index.name}"):
        client.indices.put_index_template(name=index.name, index_patterns=[index.name], template=template)
        client.options(ignore_status=EXISTS).indices.create(index=index.name)
        client.indices.put_mapping(index=index.name, **index.mappings)


def generations(url: str, index: Index, overwrite: datetime | None = None) -> Mapping[str, int]:
    """Return the generation of windows by the time (ISO 8601, UTC) from which on they have it; before all it is 0.

    With `overwrite`, those from that time on get a new one, the highest. A document of a higher generation replaces any
    of a lower. Raises as `create` does.
    """
    client = cluster.connect(url)
    with cluster.errors(url, f"index {index.name}"):
        [found] = client.indices.get_mapping(index=index.name).values()
        known: dict[str, int] = found["mappings"].get("_meta", {}).get(NOTE, {})
        if overwrite and WINDOW in index.properties:
            start = overwrite.astimezone(UTC).isoformat(timespec="microseconds")
            earlier = {time: generation for time, generation in known.items() if time < start}
            known = earlier | {start: max(known.values(), default=0) + 1}
            client.indices.put_mapping(index=index.name, meta={NOTE: known})
    return known
