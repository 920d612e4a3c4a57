"""Define the types of writers, and pass one micro-batch to several of them."""

from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql.streaming.readwriter import DataStreamWriter

Writer = Callable[[DataFrame, int], None]  # (micro-batch, batch id), as `foreachBatch` calls it


@dataclass(frozen=True)
class Direct:
    """A sink of Spark's own, which real-time mode requires: `write` returns a DataStreamWriter without trigger."""

    write: Callable[[DataFrame], DataStreamWriter]


def together(*writers: Writer) -> Writer:
    """Give each micro-batch to every one of `writers`, in order, computing it once.

    If one fails, those after it do not see the batch until it is replayed.

    Delivery: that of each writer; a replayed batch goes to all of them again.
    """
    if len(writers) == 1:
        return writers[0]

    def write(batch: DataFrame, batch_id: int) -> None:
        batch.persist()
        try:
            for each in writers:
                each(batch, batch_id)
        finally:
            batch.unpersist()

    return write
