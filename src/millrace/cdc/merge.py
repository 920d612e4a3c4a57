"""Put changes into ClickHouse: every Spark task sends its own part in large blocks, ClickHouse reads the rows' JSON."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from clickhouse_connect.driver.exceptions import DatabaseError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from millrace.cdc.replica import FLOORS, INPUT, REFUSED, VERSION
from millrace.errors import ConfigError
from millrace.kafka import letters
from millrace.kafka.changes import EMPTIED, GONE
from millrace.sinks import task_errors
from millrace.sinks.clickhouse import client
from millrace.sinks.retry import Patience
from millrace.sinks.together import Writer

ROWS, BYTES = 100_000, 64 * 1024**2  # of a block at most
# ClickHouse's numbers for values that do not fit: text, numbers, dates, nulls, and what the statement itself throws
UNFIT = {6, 27, 38, 41, 53, 69, 70, 72, 117, 131, 321, 349, 395, 407}
SETTINGS = {
    "async_insert": 0,
    "insert_deduplicate": 0,
    "compile_expressions": 0,
    "max_query_size": 16 << 20,
}  # none is used twice
PLACES = ("generation", "streamed", "commit", "lsn")
BEGUN: dict[tuple[str, ...], int] = {}  # the generation that this process has told of, by address and tables
FLOOR = f"{FLOORS} SELECT name, {VERSION} FROM input('name String, {INPUT}')"


@dataclass(frozen=True)
class Statements:
    """What follows INSERT INTO for changes of one table, and for those that are long or moved (`toast.inserts`).

    `refused` makes the statement that tells which rows of a block do not fit (`Replica.refused`). `unkeyed` is whether
    the source knows no key, so that a changed one comes as an update like any other.
    """

    insert: str
    refused: Callable[[str], str]
    unkeyed: bool = False
    toasts: tuple[str, ...] = ()


Inserts = Mapping[str, Statements]  # by schema.table


def merge(
    url: str,
    inserts: Callable[[], Inserts],
    *,
    refused: Writer,
    settle: Callable[[], None] = lambda: None,
    patience: Patience | None = None,
) -> Writer:
    """Return a writer of `kafka.changes` into their tables' storage: `inserts` is asked before each batch.

    `settle` is called after it. What has a reason, is of no known table, or holds a value that ClickHouse refuses goes
    as a dead letter to `refused`, a writer that must take its whole batch; all other rows are written. Raises
    Unavailable when the server stays away longer than `patience` (2 minutes), ConfigError when a retry cannot help.

    Delivery: at-least-once, effectively once by key and place in the source's history, in any order.
    """

    def write(batch: DataFrame, batch_id: int) -> None:
        known = inserts()
        send = partial(_send, url=url, inserts=known, patience=patience or Patience())
        if not any(each.unkeyed for each in known.values()):
            batch = batch.withColumn("before", F.lit(None).cast("string"))
        try:
            refused(batch.mapInArrow(send, letters.COLUMNS), batch_id)
        except PySparkException as error:
            raise task_errors.cause(error) or error from None
        settle()

    return write


def _send(
    batches: Iterator[pa.RecordBatch], *, url: str, inserts: Inserts, patience: Patience
) -> Iterator[pa.RecordBatch]:
    merging = Merging(url, inserts, patience)
    for batch in batches:
        yield letters.table(merging.take(pa.Table.from_batches([batch])))
    yield letters.table(merging.flush())


@dataclass
class Merging:
    """What one task has taken and not sent yet, by table."""

    url: str
    inserts: Inserts
    patience: Patience
    waiting: dict[str, list[pa.Table]] = field(default_factory=dict)

    def take(self, rows: pa.Table) -> list[dict[str, Any]]:
        """Take changes, send those of tables that have a block together, and return letters."""
        bad = pc.is_valid(rows["reason"])
        found = [_letter(row, row["reason"]) for row in rows.filter(bad).to_pylist()]
        good = rows.filter(pc.invert(bad))
        self._floors(good)
        good = good.filter(pc.not_equal(good["kind"], EMPTIED))
        for name in pc.unique(good["table"]).to_pylist():
            own = good.filter(pc.equal(good["table"], name))
            if name in self.inserts:
                self.waiting.setdefault(name, []).append(own)
                found += self._send(name) if self._is_full(name) else []
            else:
                found += [_letter(row, f"{name} is not among --tables") for row in own.to_pylist()]
        return found

    def flush(self) -> list[dict[str, Any]]:
        """Send what is left and return letters."""
        return [letter for name in list(self.waiting) for letter in self._send(name)]

    def _is_full(self, name: str) -> bool:
        return sum(len(each) for each in self.waiting[name]) >= ROWS or (
            sum(each.nbytes for each in self.waiting[name]) >= BYTES
        )

    def _send(self, name: str) -> list[dict[str, Any]]:
        rows, statements = pa.concat_tables(self.waiting.pop(name)), self.inserts[name]
        if statements.unkeyed:
            rows = pa.concat_tables([rows, _replaced(rows)])
        found = []
        try:
            self._put(statements.insert, _block(rows))
        except DatabaseError as error:
            reasons = self._unfit(statements, _block(rows), error)
            found = [_letter(rows.slice(place, 1).to_pylist()[0], reason) for place, reason in reasons.items()]
            rows = rows.filter(pa.array([place not in reasons for place in range(len(rows))]))
            self._put(statements.insert, _block(rows))
        for statement in statements.toasts:
            self._put(statement, _block(rows))
        return found

    def _unfit(self, statements: Statements, block: pa.Table, error: DatabaseError) -> dict[int, str]:
        """Return why which rows of a refused block do not fit, by place; raises ConfigError if none is to blame."""
        name = str(uuid.uuid4())
        self._put(statements.refused(name), block)
        question = f"SELECT place, reason FROM {REFUSED} WHERE block = {{block:UUID}} ORDER BY place"
        with client.errors(self.url, REFUSED):
            found = client.connect(self.url).query(question, {"block": name}).result_rows
        if not found:
            raise ConfigError(f"{client.place(self.url)} refuses changes: {_reason(error)}")
        return {place: f"ClickHouse: {reason}" for place, reason in found}

    def _put(self, statement: str, block: pa.Table) -> None:
        """Insert a block, again and again while the server is away; raises DatabaseError for values that do not fit."""
        body = BytesIO()
        with pa.ipc.new_stream(body, block.schema) as stream:
            stream.write_table(block)

        def attempt() -> DatabaseError | None:
            with client.errors(self.url, "change data capture"):
                try:
                    server = client.connect(self.url)
                    server.raw_insert(statement, insert_block=body.getvalue(), fmt="ArrowStream", settings=SETTINGS)
                except DatabaseError as error:
                    if error.code not in UNFIT:
                        raise
                    return error
            return None

        if unfit := self.patience.attempt(attempt):
            raise unfit

    def _floors(self, rows: pa.Table) -> None:
        """Tell which tables were emptied where, and that a new generation is above all older rows of each table."""
        emptied = rows.filter(pc.equal(rows["kind"], EMPTIED))
        if len(emptied):
            self._put(FLOOR, _block(emptied).append_column("name", emptied["table"]))
        ours = pc.is_in(rows["table"], pa.array(list(self.inserts), pa.string()))
        ended = pc.max(rows.filter(pc.and_(rows["ended"], ours))["generation"]).as_py() or 0
        told = (self.url, *self.inserts)
        if ended > max(BEGUN.get(told, 0), 1) and self.inserts:
            names = pa.array(list(self.inserts))
            zeros = pa.nulls(len(names), pa.int64()).fill_null(0)
            empty = pa.nulls(len(names), pa.string()).fill_null("")
            start = {"row": empty, "old_key": empty, "deleted": pc.add(zeros, 1).cast(pa.uint8())}
            start |= dict.fromkeys((*PLACES, "changed_at"), zeros)
            start["generation"] = pc.add(zeros, ended)
            self._put(FLOOR, pa.table(start | {"name": names}))
            BEGUN[told] = ended


def _replaced(rows: pa.Table) -> pa.Table:
    """Return that the rows which updates replaced are gone: where the key is the same, the row that is there wins."""
    updates = rows.filter(pc.is_valid(rows["before"]))
    kinds = pa.array([GONE] * len(updates), pa.string())
    gone = updates.set_column(updates.schema.get_field_index("kind"), "kind", kinds)
    return gone.set_column(gone.schema.get_field_index("row"), "row", updates["before"])


def _block(rows: pa.Table) -> pa.Table:
    """Return what ClickHouse takes of changes: replica.INPUT."""
    own = {"place": pa.array(range(len(rows)), pa.uint32())}
    own |= {name: pc.fill_null(rows[name], "") for name in ("row", "old_key")}
    own |= {"deleted": pc.equal(rows["kind"], GONE).cast(pa.uint8()), "partial": rows["partial"].cast(pa.uint8())}
    own |= {name: rows[name] for name in PLACES} | {"streamed": rows["streamed"].cast(pa.uint8())}
    return pa.table(own | {"changed_at": pc.fill_null(rows["changed_at"], 0)})


def _letter(row: dict[str, Any], reason: str) -> dict[str, Any]:
    value = row["value"] if row["value"] is not None else (row["row"] or "").encode()
    return letters.letter(value, reason, row["topic"], row["partition"], row["offset"])


def _reason(error: DatabaseError) -> str:
    text = " ".join(str(error).split())
    return (text.partition("DB::Exception: ")[2] or text).partition(": while executing")[0]
