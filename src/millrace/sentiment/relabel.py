"""Label again what has no label, once the reason is gone: of rows in ClickHouse, without Spark."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from millrace.kafka.results import Result
from millrace.sentiment.frames import OUTCOME
from millrace.sentiment.labelling import Labelling
from millrace.sentiment.labels import NO_TEXT, Outcome, Text
from millrace.sinks.clickhouse import client, tables
from millrace.sinks.clickhouse.writer import Delivery
from millrace.sinks.retry import Patience

AT_ONCE = 500  # rows
WITHOUT = "sentiment IS NULL AND ifNull(error, '') != %(nothing)s AND post_id > %(after)s"
Advance = Callable[[int], object]


@dataclass(frozen=True)
class Relabelled:
    """How many rows had no label, and how many have one now."""

    rows: int
    labelled: int


def without_label(url: str, result: Result) -> int:
    """Return how many rows of `result` have no label though there is a text; raises what `client.errors` does."""
    asked = f"SELECT count() FROM {result.name} WHERE {WITHOUT}"  # noqa: S608 - an identifier
    with client.errors(url, f"table {result.name}"):
        found = client.connect(url).query(asked, parameters={"nothing": NO_TEXT, "after": ""}).result_rows
    return int(found[0][0])


def relabel(url: str, result: Result, labelling: Labelling, advance: Advance = lambda rows: None) -> Relabelled:
    """Ask again about the texts of the rows of `result` that have no label; those that get one are replaced.

    A row that was replaced meanwhile by a newer edition stays as it is. `advance` is told of each lot of rows. Raises
    what `client.errors` does, nothing for what the engine's server does.
    """
    if labelling.cached:
        labelling.cache().create()
    rows = labelled = 0
    for lot in _lots(url, result):
        found = _labelled(lot, labelling)
        delivery = Delivery(url, result)
        delivery.take(found, {})
        Patience().attempt(delivery.send)
        rows, labelled = rows + lot.num_rows, labelled + found.num_rows
        advance(lot.num_rows)
    return Relabelled(rows, labelled)


def _lots(url: str, result: Result) -> Iterator[pa.Table]:
    asked = f"SELECT {tables.columns(result)} FROM {result.name} WHERE {WITHOUT} ORDER BY post_id LIMIT {AT_ONCE}"  # noqa: S608
    after = ""
    while True:
        with client.errors(url, f"table {result.name}"):
            known = {"nothing": NO_TEXT, "after": after}
            lot = client.connect(url).query_arrow(asked, parameters=known, use_strings=True)
        if not lot.num_rows:
            return
        after = lot["post_id"][-1].as_py()
        yield lot


def _labelled(lot: pa.Table, labelling: Labelling) -> pa.Table:
    """Return the rows of `lot` that have a label now."""
    rows = lot.to_pylist()
    outcomes = labelling.label([Text(row["mastodon_text"], row["language"]) for row in rows])
    labeller = labelling.labeller()
    told = {"model": labeller.model, "prompt_version": labeller.prompt_version}
    changed = [row | told | _values(each, row) for row, each in zip(rows, outcomes, strict=True) if each.label]
    return pa.Table.from_pylist(changed, schema=lot.schema)


def _values(outcome: Outcome, row: dict[str, int]) -> dict[str, object]:
    values: tuple[object, ...] = (outcome.label, outcome.score, outcome.at, outcome.latency_ms, outcome.tokens, None)
    return dict(zip(OUTCOME, values, strict=False)) | {"revision": row["revision"] | 1}
