"""Debezium's envelopes of PostgreSQL to changes: which row, what became of it, and its place in the source's history.

A place is made of nothing but what the source wrote, so that a change has the same one however often and in whatever
order it arrives. It is, most significant part first:

- `generation`: of the snapshot that the connector began with, in the header of that name; a later one is right.
- `streamed`: rows of an initial snapshot come before all that is streamed, though their LSN may be higher.
- `commit`: the LSN up to which transactions had been committed, the first part of `source.sequence`. LSNs alone do not
  order a change and an incremental snapshot: a transaction may write first, and commit after the snapshot has read.
- `lsn`: of the change itself, the second part; changes of a transaction differ in it, and so do those of a key.
- that a row is there, not gone: the two halves of a changed key have one LSN.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from millrace.kafka.places import BEYOND, MOST_GENERATIONS

ROW, GONE, EMPTIED = "row", "gone", "emptied"  # what a change says of a row, or of a whole table
GENERATION = "generation"  # header of a record
OLD_KEY = "__debezium.oldkey"  # header of a row whose key was changed
LONGEST = 1 << 30  # characters of a text; Jackson takes 20 million by itself
ENVELOPE = (
    "before STRING, after STRING, op STRING, _corrupt STRING, "
    "source STRUCT<schema: STRING, table: STRING, lsn: BIGINT, sequence: STRING, snapshot: STRING, ts_us: BIGINT>"
)
KINDS = {"c": ROW, "u": ROW, "r": ROW, "d": GONE, "t": EMPTIED}
COLUMNS = (
    "table STRING, kind STRING, row STRING, before STRING, old_key STRING, partial BOOLEAN, "
    "generation INT, streamed BOOLEAN, commit BIGINT, lsn BIGINT, ended BOOLEAN, changed_at BIGINT, "
    "topic STRING, partition INT, offset BIGINT, reason STRING, value BINARY"
)


def changes(records: DataFrame) -> DataFrame:
    """Return COLUMNS of each change in Kafka records (key, value, headers, topic, partition, offset), one row each.

    `table` is schema.table; `row` the JSON of the row, of one that is gone that of its key at least, null for a table
    that was emptied; `before` that of the row which an update replaced, where it is told; `old_key` the JSON of the key
    that a row had before; `partial` whether TOAST may have left values out, which it can only of a row that was there
    and is not told as it was; `ended` whether the initial snapshot of this generation is over; `changed_at`
    microseconds since 1970, of the transaction. What cannot be read has a `reason` and its `value`, which are null
    else. Tombstones are left out.

    Source: debezium.io/documentation/reference/stable/connectors/postgresql.html, "Data change events".
    """
    text = F.col("value").cast("string")
    parsed = records.filter("value IS NOT NULL").select(
        *("topic", "partition", "offset", "value", "headers"),
        F.from_json(text, ENVELOPE, {"columnNameOfCorruptRecord": "_corrupt", "maxStringLen": str(LONGEST)}).alias("e"),
    )
    sequence = F.from_json("e.source.sequence", "ARRAY<STRING>")
    streamed = (F.col("e.op") != "r") | (F.col("e.source.snapshot") == "incremental")
    partial = ((F.col("e.op") == "u") & F.col("e.before").isNull()) | F.expr(_header(OLD_KEY)).isNotNull()
    last = F.coalesce(F.col("e.source.snapshot") == "last", F.lit(False))
    kind = F.element_at(F.create_map(*[F.lit(each) for pair in KINDS.items() for each in pair]), F.col("e.op"))
    found = parsed.select(
        F.concat_ws(".", "e.source.schema", "e.source.table").alias("table"),
        kind.alias("kind"),
        F.when(kind == GONE, F.col("e.before")).when(kind == ROW, F.col("e.after")).alias("row"),
        F.when(F.col("e.op") == "u", F.col("e.before")).alias("before"),
        F.expr(_header(OLD_KEY)).alias("old_key"),
        partial.alias("partial"),
        F.expr(f"coalesce(try_cast({_header(GENERATION)} AS INT), 0)").alias("generation"),
        streamed.alias("streamed"),
        F.coalesce(F.get(sequence, F.lit(0)).cast("bigint"), F.lit(0)).alias("commit"),
        F.coalesce(F.get(sequence, F.lit(1)).cast("bigint"), F.col("e.source.lsn")).alias("lsn"),
        (streamed | last).alias("ended"),
        F.col("e.source.ts_us").alias("changed_at"),
        *("topic", "partition", "offset", "value", "e"),
    )
    reason = _reason()
    return found.select(
        *[_good(name, reason) for name in ("table", "kind", "row", "before", "old_key")],
        *("partial", "generation", "streamed", "commit", "lsn", "ended", "changed_at", "topic", "partition", "offset"),
        reason.alias("reason"),
        F.when(reason.isNotNull(), F.col("value")).alias("value"),
    )


def _reason() -> Column:
    """Return why a record is no change, null for one that is."""
    text = F.col("value").cast("string")
    wrapped = F.get_json_object(text, "$.payload").isNotNull()
    return (
        F.when(F.col("e").isNull() | F.col("e._corrupt").isNotNull(), "it is no JSON object")
        .when(F.col("e.op").isNull() & wrapped, "it has a schema beside it: set value.converter.schemas.enable=false")
        .when(F.col("kind").isNull(), "it is no change of Debezium: its op is none of c, u, d, r and t")
        .when(F.col("e.source.schema").isNull() | F.col("e.source.table").isNull(), "its source names no table")
        .when((F.col("kind") != EMPTIED) & F.col("row").isNull(), "it has no row: neither before nor after")
        .when(F.col("lsn").isNull(), "its source has no LSN")
        .when(~F.col("lsn").between(0, BEYOND - 1) | ~F.col("commit").between(0, BEYOND - 1), "its LSN is out of range")
        .when(~F.col("generation").between(0, MOST_GENERATIONS - 1), "its generation is out of range")
    )


def _header(name: str) -> str:
    return f"cast(try_element_at(filter(headers, each -> each.key = '{name}'), -1).value AS STRING)"


def _good(name: str, reason: Column) -> Column:
    return F.when(reason.isNull(), F.col(name)).alias(name)
