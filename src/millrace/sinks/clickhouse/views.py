"""Views over the tables of results in ClickHouse, for people who look: made where there is one that they read."""

from millrace.kafka.results import SENTIMENT, Result
from millrace.sinks.clickhouse.client import connect, errors

NAMES = "|".join(each.name for each in SENTIMENT.values())
SHARES = """countIf(sentiment = 'positive') AS positive, countIf(sentiment = 'neutral') AS neutral,
    countIf(sentiment = 'negative') AS negative, countIf(sentiment IS NULL) AS unlabelled, count() AS posts,
    if(positive + negative + neutral = 0, NULL, (positive - negative) / (positive + negative + neutral)) AS balance"""
OF = f"replaceRegexpOne(_table, '_sentiment$', '') AS source FROM merge(currentDatabase(), '^({NAMES})$')"
VIEWS = {
    "sentiment_by_window": f"""SELECT source, window_start, window_start + INTERVAL 1 MINUTE AS window_end, {SHARES}
FROM (SELECT toStartOfMinute(event_time, 'UTC') AS window_start, sentiment, {OF})
GROUP BY source, window_start""",  # noqa: S608 - all of it is ours
    "sentiment_by_hashtag": f"""SELECT source, hashtag, {SHARES}
FROM (SELECT arrayJoin(splitByChar(' ', ifNull(hashtags, ''))) AS hashtag, sentiment, {OF})
WHERE hashtag != '' GROUP BY source, hashtag""",  # noqa: S608
}


def create(url: str, result: Result) -> None:
    """Make the views that read `result`, whose table must exist; one that is of the user's own stays as it is.

    Raises what `client.errors` does.
    """
    if result not in SENTIMENT.values():
        return
    client = connect(url)
    for name, query in VIEWS.items():
        with errors(url, f"view {name}"):
            client.command(f"CREATE VIEW IF NOT EXISTS {name} AS {query}")
