"""Answers that were paid for, kept in ClickHouse: a text is asked about once for each model and question."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa

from millrace.sentiment.labels import Outcome
from millrace.sinks.clickhouse import client
from millrace.sinks.retry import Patience

TABLE = "llm_cache"
CREATE = f"""CREATE TABLE IF NOT EXISTS {TABLE} (
    text_hash String, model String, prompt_version String, sentiment LowCardinality(String), score Nullable(Float64),
    latency_ms Nullable(Int64), tokens Nullable(Int64), cut Bool, labelled_at DateTime64(6, 'UTC')
) ENGINE = ReplacingMergeTree(labelled_at) ORDER BY (model, prompt_version, text_hash) SETTINGS index_granularity = 1024
"""
FIND = f"""SELECT text_hash, sentiment, score, latency_ms, tokens, cut, labelled_at FROM {TABLE} FINAL
WHERE model = %(model)s AND prompt_version = %(version)s AND text_hash IN %(hashes)s"""  # noqa: S608 - bound
RECENT = f"""SELECT count() FROM {TABLE} WHERE model = %(model)s AND prompt_version = %(version)s
AND labelled_at > now64(6) - INTERVAL 1 HOUR"""  # noqa: S608 - bound
AT_ONCE = 2_000  # texts of one question: a statement of ClickHouse has at most 256 kB
FIELDS = pa.schema(
    [
        ("text_hash", pa.string()),
        ("model", pa.string()),
        ("prompt_version", pa.string()),
        ("sentiment", pa.string()),
        ("score", pa.float64()),
        ("latency_ms", pa.int64()),
        ("tokens", pa.int64()),
        ("cut", pa.bool_()),
        ("labelled_at", pa.timestamp("us", "UTC")),
    ]
)


def text_hash(text: str) -> str:
    """Return the SHA-256 of a text, by which it is known, as hexadecimal digits."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Cache:
    """The answers of one `model` to one question (`version`), in the ClickHouse at `url`.

    Every method raises Unavailable when ClickHouse stays away longer than `patience`, ConfigError when it refuses.
    """

    url: str
    model: str
    version: str
    patience: Patience = field(default_factory=Patience)

    def create(self) -> None:
        """Make the table if it is missing."""
        self.patience.attempt(lambda: self._command(CREATE))

    def find(self, hashes: Sequence[str]) -> dict[str, Outcome]:
        """Return what is known of the texts with these hashes."""
        found: dict[str, Outcome] = {}
        for start in range(0, len(hashes), AT_ONCE):
            found |= self.patience.attempt(partial(self._find, hashes[start : start + AT_ONCE]))
        return found

    def keep(self, outcomes: Mapping[str, Outcome]) -> None:
        """Store the labels among `outcomes`, by the hashes of their texts; what has none may be asked again."""
        rows = [self._row(name, each) for name, each in outcomes.items() if each.label]
        if rows:
            block = pa.Table.from_pylist(rows, schema=FIELDS)
            self.patience.attempt(lambda: self._insert(block))

    def recent(self) -> int:
        """Return how many labels came in the last hour."""
        return int(self.patience.attempt(lambda: self._query(RECENT, {}))[0][0])

    def _row(self, name: str, outcome: Outcome) -> dict[str, object]:
        return {
            "text_hash": name,
            "model": self.model,
            "prompt_version": self.version,
            "sentiment": outcome.label,
            "score": outcome.score,
            "latency_ms": outcome.latency_ms,
            "tokens": outcome.tokens,
            "cut": outcome.cut,
            "labelled_at": outcome.at,
        }

    def _find(self, hashes: Iterable[str]) -> dict[str, Outcome]:
        rows = self._query(FIND, {"hashes": tuple(hashes)})
        return {
            name: Outcome(label, None, at, score, latency, tokens, cut)
            for name, label, score, latency, tokens, cut, at in rows
        }

    def _query(self, statement: str, values: Mapping[str, object]) -> Sequence[Sequence[Any]]:
        bound = {"model": self.model, "version": self.version, **values}
        with client.errors(self.url, f"table {TABLE}"):
            found: Sequence[Sequence[Any]] = client.connect(self.url).query(statement, parameters=bound).result_rows
        return found

    def _command(self, statement: str) -> None:
        with client.errors(self.url, f"table {TABLE}"):
            client.connect(self.url).command(statement)

    def _insert(self, block: pa.Table) -> None:
        with client.errors(self.url, f"table {TABLE}"):
            client.connect(self.url).insert_arrow(TABLE, block)
