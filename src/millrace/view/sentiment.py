"""What the page of sentiment shows of the labelled posts in ClickHouse; "the last hour" is that of the data."""

from pathlib import Path

import pandas as pd

from millrace.kafka.results import SENTIMENT
from millrace.sinks.clickhouse import client, tables
from millrace.sinks.clickhouse.views import SHARES

NEWEST = 50  # posts
LAG_OF = 100  # newest labelled posts
HASHTAGS = 15
CHARACTERS = 160  # of a text
LABELS = ("positive", "neutral", "negative")
# Names of tables are those of results, and texts are cut by the server: a post may be long.
FOUND = "SELECT name FROM system.tables WHERE database = currentDatabase() AND name IN {names:Array(String)}"
# One row a post, as the view of the table has it, without merging the whole table: what replaces a row is not of an
# earlier event time, so that of the rows of the last hour the newest is the newest of all.
HOUR = """(SELECT * FROM {0} WHERE event_time > (SELECT max(event_time) FROM {0}) - INTERVAL 1 HOUR
    ORDER BY _version DESC LIMIT 1 BY post_id)"""
MINUTES = f"""SELECT toDateTime64(toStartOfMinute(assumeNotNull(event_time), 'UTC'), 0, 'UTC') AS window_start, {SHARES}
FROM {HOUR} GROUP BY window_start ORDER BY window_start"""  # noqa: S608
TAGS = f"""SELECT arrayJoin(splitByChar(' ', ifNull(hashtags, ''))) AS hashtag, {SHARES} FROM {HOUR}
WHERE hashtag != '' GROUP BY hashtag HAVING balance IS NOT NULL ORDER BY posts DESC, hashtag LIMIT {HASHTAGS}"""  # noqa: S608
POSTS = f"""SELECT event_time, sentiment, score, error, language, leftUTF8(mastodon_text, {CHARACTERS}) AS text, model
FROM {HOUR} ORDER BY event_time DESC, post_id LIMIT {NEWEST}"""  # noqa: S608
ERRORS = f"""SELECT splitByString(': ', ifNull(error, 'no reason'))[1] AS reason, count() AS posts
FROM {HOUR} WHERE sentiment IS NULL GROUP BY reason ORDER BY posts DESC, reason LIMIT 20"""  # noqa: S608
LAG = f"""SELECT quantileExact(0.5)((toUnixTimestamp64Milli(assumeNotNull(labelled_at))
    - toUnixTimestamp64Milli(assumeNotNull(event_time))) / 1000) AS seconds, count() AS posts
FROM (SELECT labelled_at, event_time FROM {HOUR} WHERE labelled_at IS NOT NULL AND sentiment IS NOT NULL
    ORDER BY event_time DESC LIMIT {LAG_OF})"""  # noqa: S608


def is_used(home: Path) -> bool:
    """Return whether a job has labelled anything in this home; asks no server."""
    return any(home.glob("run/sentiment*.json"))


def sources(url: str) -> list[str]:
    """Return the sources with labelled posts; raises what `client.errors` does, as all below."""
    names = {result.name: source for source, result in SENTIMENT.items()}
    there = sorted(_ask(url, FOUND, names=list(names))["name"])
    return [names[name] for name in there if len(_ask(url, f"SELECT 1 AS one FROM {name} LIMIT 1"))]  # noqa: S608


def minutes(url: str, source: str) -> pd.DataFrame:
    """Return window_start, label and share (of the labelled posts of that minute) for each label and minute."""
    rows = _ask(url, MINUTES, source)
    labelled = rows[list(LABELS)].sum(axis=1)
    rows = pd.DataFrame(rows[labelled > 0])
    rows[list(LABELS)] = rows[list(LABELS)].div(labelled[labelled > 0], axis=0)
    return rows.melt("window_start", list(LABELS), "label", "share")


def hashtags(url: str, source: str) -> pd.DataFrame:
    """Return the hashtags of most posts of the last hour, and their balance: (positive - negative) / labelled."""
    return _ask(url, TAGS, source)[["hashtag", "posts", *LABELS, "unlabelled", "balance"]]


def posts(url: str, source: str) -> pd.DataFrame:
    """Return the newest posts of the last hour, labelled or with the reason why not."""
    return _ask(url, POSTS, source)


def errors(url: str, source: str) -> pd.DataFrame:
    """Return reason and posts of the last hour's posts without a label; a reason is what stands before its details."""
    return _ask(url, ERRORS, source)


def lag(url: str, source: str) -> float | None:
    """Return the median seconds from a post's event time to its label, None where none has a label."""
    found = _ask(url, LAG, source).iloc[0]
    return float(found["seconds"]) if found["posts"] else None


def _ask(url: str, question: str, source: str = "", **values: object) -> pd.DataFrame:
    with client.errors(url, "sentiment"):
        asked = question.replace("{0}", tables.storage(SENTIMENT[source])) if source else question
        # Times as moments: those without a zone are taken for the reader's own by charts.
        result = client.connect(url).query(asked, parameters=values, tz_mode="aware")
        return pd.DataFrame(result.result_rows, columns=list(result.column_names))
