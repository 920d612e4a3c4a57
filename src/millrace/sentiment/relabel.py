"""Label again what has no label, once the reason is gone: of rows in ClickHouse, without Spark."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from millrace.errors import ConfigError
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
    """How many rows had no label, how many have one now, and by the beginning of its reason how many still have none.

    Those that had none are their sum.
    """

    labelled: int = 0
    without: Counter[str] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        return self.labelled + self.without.total()

    @property
    def text(self) -> str:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.without.most_common())
        still = f"{self.without.total():,} still not" + (f": {reasons}" if reasons else "")
        return f"{self.rows:,} posts had no label; {self.labelled:,} have one now, {still}"


def without_label(url: str, result: Result) -> int:
    """Return how many rows of `result` have no label though there is a text.

    Raises what `client.errors` does, and ConfigError where there is no such table.
    """
    asked = f"SELECT count() FROM {result.name} WHERE {WITHOUT}"  # noqa: S608 - an identifier
    with client.errors(url, f"table {result.name}"):
        server = client.connect(url)
        if not server.command(f"EXISTS TABLE {result.name}"):
            raise ConfigError(f"{client.place(url)} has no table {result.name}: `millrace run sentiment` makes it")
        found = server.query(asked, parameters={"nothing": NO_TEXT, "after": ""}).result_rows
    return int(found[0][0])


def relabel(url: str, result: Result, labelling: Labelling, advance: Advance = lambda rows: None) -> Relabelled:
    """Ask again about the texts of the rows of `result` that have no label; those that get one are replaced.

    A row that was replaced meanwhile by a newer edition stays as it is. `advance` is told of each lot of rows. Raises
    what `client.errors` does, nothing for what the engine's server does.
    """
    if labelling.cached:
        labelling.cache().create()
    done = Relabelled()
    for lot in _lots(url, result):
        outcomes = _asked(lot, labelling)
        found = _replaced(lot, outcomes, labelling)
        delivery = Delivery(url, result)
        delivery.take(found, {})
        Patience().attempt(delivery.send)
        without = Counter(each.error.partition(":")[0] for each in outcomes if each.error)
        done = Relabelled(done.labelled + found.num_rows, done.without + without)
        advance(lot.num_rows)
    return done


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


def _asked(lot: pa.Table, labelling: Labelling) -> list[Outcome]:
    texts = zip(lot["mastodon_text"].to_pylist(), lot["language"].to_pylist(), strict=True)
    return labelling.label([Text(*each) for each in texts])


def _replaced(lot: pa.Table, outcomes: Sequence[Outcome], labelling: Labelling) -> pa.Table:
    """Return the rows of `lot` that have a label now."""
    labeller = labelling.labeller()
    told = {"model": labeller.model, "prompt_version": labeller.prompt_version}
    pairs = zip(lot.to_pylist(), outcomes, strict=True)
    changed = [row | told | _values(each, row) for row, each in pairs if each.label]
    return pa.Table.from_pylist(changed, schema=lot.schema)


def _values(outcome: Outcome, row: dict[str, int]) -> dict[str, object]:
    values: tuple[object, ...] = (outcome.label, outcome.score, outcome.at, outcome.latency_ms, outcome.tokens, None)
    return dict(zip(OUTCOME, values, strict=False)) | {"revision": row["revision"] | 1}
