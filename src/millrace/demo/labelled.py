"""The demo's labelled posts in ClickHouse."""

from typing import Any

from millrace.errors import MillraceError
from millrace.sinks.clickhouse import client

SINCE = "WHERE event_time >= parseDateTime64BestEffort({since:String}, 3, 'UTC')"
QUESTIONS = {
    "counts": f"SELECT sentiment, count() FROM {{0}} {SINCE} GROUP BY sentiment",  # noqa: S608
    "newest": f"SELECT leftUTF8(mastodon_text, 200), sentiment, score FROM {{0}} {SINCE} AND sentiment IS NOT NULL"  # noqa: S608
    " ORDER BY event_time DESC LIMIT {rows:UInt32}",
    "reasons": f"SELECT ifNull(error, 'no reason') AS reason, count() FROM {{0}} {SINCE} AND sentiment IS NULL"  # noqa: S608
    " GROUP BY reason ORDER BY count() DESC, reason LIMIT {rows:UInt32}",
}


def look(url: str, table: str, since: str, rows: int) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of each question on posts from `since` (ISO, UTC) on; none while there is no table."""
    try:
        with client.errors(url, table):
            ask = client.connect(url).query
            values = {"since": since, "rows": rows}
            return {
                name: [tuple(row) for row in ask(question.replace("{0}", table), parameters=values).result_rows]
                for name, question in QUESTIONS.items()
            }
    except MillraceError:  # it is read again soon, and the job says what is wrong
        return {name: [] for name in QUESTIONS}
