"""Show micro-batches on the terminal, for looking at a stream."""

import unicodedata

from pyspark.sql import DataFrame
from rich.console import Console
from rich.table import Table
from rich.text import Text

from millrace.sinks.together import Writer

# Control characters, line and paragraph separators, half characters; then marks that turn lines around
UNSAFE = {"Cc", "Cs", "Zl", "Zp"}
TURNING = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def show(rows: int = 20) -> Writer:
    """Print the first `rows` rows of each micro-batch to stdout as a table, hostile characters escaped.

    Delivery: none; for eyes only.
    """

    def write(batch: DataFrame, batch_id: int) -> None:
        table = Table(title=f"batch {batch_id}")
        for name in batch.columns:
            table.add_column(Text(printable(name)))
        for row in batch.take(rows):
            table.add_row(*(Text(printable("" if value is None else str(value))) for value in row))
        Console().print(table)

    return write


def printable(text: str) -> str:
    r"""Return `text` with characters that move a cursor or turn lines around as escapes such as \x1b."""
    return "".join(_escape(character) for character in text)


def _escape(character: str) -> str:
    if unicodedata.category(character) in UNSAFE or character in TURNING:
        return character.encode("unicode_escape").decode()
    return character
