"""Print micro-batches on the terminal, for looking at a stream."""

from pyspark.sql import DataFrame
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from millrace.logs import escape
from millrace.sinks.sink import Need, Sink
from millrace.sinks.together import Writer


def show(rows: int = 20) -> Writer:
    """Print the first `rows` rows of each micro-batch that has any to stdout, with control characters escaped.

    Delivery: none; for eyes only.
    """

    def write(batch: DataFrame, batch_id: int) -> None:
        shown = batch.toArrow().slice(0, rows)  # all of it: Spark commits the state of computed partitions only
        if not shown.num_rows:
            return
        table = Table(*(Column(Text(escape(name))) for name in shown.column_names), title=f"batch {batch_id}")
        for row in zip(*shown.to_pydict().values(), strict=True):
            table.add_row(*(Text("" if value is None else escape(str(value))) for value in row))
        Console().print(table)

    return write


CONSOLE = Sink("console", Need.NOTHING, lambda result, target: show())
