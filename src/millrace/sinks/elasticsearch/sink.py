"""Elasticsearch as a sink; its client takes long to import, so only what uses it imports it."""

from collections.abc import Iterator
from typing import Any

from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.kafka import documents, letters
from millrace.kafka.results import Result
from millrace.kafka.topics import DEAD_LETTERS
from millrace.sinks.elasticsearch.limits import LONGEST_ID
from millrace.sinks.kafka import publish
from millrace.sinks.sink import Need, Sink, Target
from millrace.sinks.together import Writer

NAME = "elasticsearch"


def _writer(result: Result, target: Target) -> Writer:
    from millrace.sinks.elasticsearch import indices, writer  # noqa: PLC0415

    index, url = indices.index_of(result), target.settings.store_url(NAME)
    if target.prepare:
        indices.create(url, index)
    known = indices.generations(url, index, target.overwrite) if target.prepare else {}
    target.create([DEAD_LETTERS])
    refused = publish(DEAD_LETTERS, letters.KEY_OF_ROWS, target.settings.kafka_bootstrap)
    return writer.index(url, index, refused=refused, generations=known)


def _rows(result: Result, settings: Settings) -> Iterator[dict[str, Any]]:
    from elasticsearch import helpers  # noqa: PLC0415

    from millrace.sinks.elasticsearch import cluster, indices  # noqa: PLC0415

    url, index = settings.store_url(NAME), indices.index_of(result)
    client = cluster.connect(url)
    with cluster.errors(url, f"index {index.name}"):
        client.indices.refresh(index=index.name)
        for hit in helpers.scan(client, index=index.name, size=10_000):
            found = {name: value for name, value in hit["_source"].items() if name != indices.STAMP}
            yield documents.values(result, found)


def _check(settings: Settings) -> str:
    from millrace.sinks.elasticsearch import cluster  # noqa: PLC0415

    url = settings.store_url(NAME)
    with cluster.errors(url, "health"):
        state = cluster.connect(url).cluster.health(timeout="5s")["status"]
    found = f"{cluster.place(url)}: {state}"
    if state == "red":
        raise MillraceError(found)
    return found


ELASTICSEARCH = Sink(
    NAME, Need.INDEX, _writer, "elasticsearch_url", rows=_rows, check=_check, servers=(NAME,),
    holds=lambda key: 0 < len(key.encode()) <= LONGEST_ID, overwrites=True,
)  # fmt: skip
