"""Mark the candles that a gap in the feed touches as incomplete."""

from collections.abc import Sequence
from datetime import timedelta

from millrace.kafka.gaps import Span
from millrace.kafka.results import CANDLES
from millrace.sinks.clickhouse import client, tables
from millrace.sinks.retry import Patience

LONGEST = timedelta(days=1)  # the longest window
# Written again with the same version: of equals the last written stays, and a newer candle is newer still.
MARK = """
INSERT INTO {table} ({columns}, _generation)
SELECT * REPLACE (false AS complete) FROM (
    SELECT {columns}, _generation FROM {table} FINAL
    WHERE complete AND window_start <= {{end:DateTime64(6, 'UTC')}} AND window_end > {{start:DateTime64(6, 'UTC')}}
        AND window_start > {{earliest:DateTime64(6, 'UTC')}}
)"""


def mark_incomplete(url: str, gaps: Sequence[Span], patience: Patience) -> None:
    """Set `complete` to false for all candles that one of `gaps` touches; raises as `writer.insert` does."""
    statement = MARK.format(table=tables.storage(CANDLES), columns=tables.columns(CANDLES))
    spans = [{"start": start, "end": end, "earliest": start - LONGEST} for start, end in gaps]

    def attempt() -> None:
        with client.errors(url, f"table {tables.storage(CANDLES)}"):
            for span in spans:
                client.connect(url).command(statement, parameters=span)

    patience.attempt(attempt)
