"""Convert tweets to post.v1: plain ones, and those of Twitter's API, v1.1 and v2.

The fields are those of developer.x.com: "Tweet object" of v1.1 (`extended_tweet` of its streams included) and of v2.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from millrace.errors import BadRecord
from millrace.ingest.events import SECOND, Event
from millrace.ingest.fields import Fields
from millrace.ingest.hashtags import written
from millrace.ingest.tweets.cleaning import clean, is_blank, stripped
from millrace.ingest.values import encode, event_time, iso, json_object, micros
from millrace.kafka import posts
from millrace.kafka.topics import TWEETS
from millrace.names import language_tag, normalise_hashtags

FIRST_TWEET = 1_142_899_200 * SECOND  # 21 March 2006
_USER = ("id_str", "id", "username", "screen_name", "name")
_METRICS = ("reply_count", "retweet_count", "like_count", "favorite_count")
_LONG = ("full_text", "text", "entities")  # of a text that is too long for the tweet itself
_OPTIONAL = (
    *("id_str", "full_text", "text", "extended_tweet", "note_tweet", "lang", "language", "entities", "hashtags"),
    *("user", "author", "author_id", "public_metrics", *_METRICS),
)


@dataclass(frozen=True)
class Reading:
    """What is done to a tweet beside cleaning its text: leave out links and mentions, keep the tweet as it came."""

    strip_links: bool = False
    strip_mentions: bool = False
    keep_raw: bool = False


AS_IT_IS = Reading()


def parse(frame: bytes, now: int, reading: Reading = AS_IT_IS) -> Event:
    """Turn one tweet of any shape into an event; `now` is the ingest clock in microseconds.

    Raises BadRecord where it has no id, no time, or nothing is left of its text.
    """
    document = json_object(frame)
    inside = document.get("data")
    if isinstance(inside, list):
        raise BadRecord("data is a list of tweets: each is wanted by itself, as `twarc2 flatten` writes them")
    tweet = Fields(inside if isinstance(inside, dict) else document, _OPTIONAL)
    name = tweet.word("id_str") or tweet.word("id")
    if name is None:
        raise BadRecord("id is missing")
    created = _time(tweet.text("created_at"))
    witnessed = event_time(created, now, FIRST_TWEET)
    text = clean(_text(tweet))
    shown = stripped(text, links=reading.strip_links, mentions=reading.strip_mentions)
    if is_blank(shown):
        raise BadRecord("text is empty after cleaning")
    value = {
        "id": name,
        "event_id": name,
        "source_id": name,
        "source": "tweets",
        "event_time": iso(witnessed),
        "created_at": iso(created),
        "observed_at": iso(now),
        "author": _author(tweet, document),
        "text": shown,
        "language": language_tag(tweet.word("lang") or tweet.word("language")),
        "hashtags": normalise_hashtags(_hashtags(tweet) or written(text)),
        **_counters(tweet),
        "visibility": "public",
        "operation": "create",
    }
    if reading.keep_raw:
        value["raw"] = frame.decode()
    data = encode(value)
    posts.decode(data)  # so that every reader accepts what is written
    # a tweet that is dated ahead does not prove that nothing is missing until then
    place = min(witnessed, now)
    return Event(TWEETS.name, name.encode(), data, witnessed, name, place, place, mended=bool(tweet.mended))


def _time(text: str | None) -> int:
    """Return a time as v1.1 writes it, or ISO 8601 (UTC where it names no zone), in microseconds; raises BadRecord."""
    for read in (datetime.fromisoformat, _of_v1):
        try:
            moment = read(text or "")
        except ValueError:
            continue
        if ":" in str(text):  # a date alone is no time
            return micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    raise BadRecord(f"created_at is no time: {str(text)[:70]!r}")


def _of_v1(text: str) -> datetime:
    return datetime.strptime(text, "%a %b %d %H:%M:%S %z %Y")


def _text(tweet: Fields) -> str:
    """Return the text, in full where the tweet has only the beginning of it."""
    longer = [tweet.inner("extended_tweet", _LONG).text("full_text"), tweet.inner("note_tweet", _LONG).text("text")]
    return next(filter(None, [*longer, tweet.text("full_text"), tweet.text("text")]), "")


def _author(tweet: Fields, document: dict[str, Any]) -> dict[str, Any] | None:
    """Return who wrote it: v2 tells of its users beside the tweets, and what flattens its pages puts them inside."""
    user, author = tweet.inner("user", _USER), tweet.inner("author", _USER)
    name = user.word("id_str") or user.word("id") or author.word("id") or tweet.word("author_id")
    if name is None:
        return None
    users = Fields(document.get("includes"), ("users",), tweet.mended).objects("users", optional=_USER)
    user = next((each for each in (author, *users) if each.word("id") == name), user)
    known = user.word("username") or user.word("screen_name")
    return {"id": name, "username": known, "name": user.text("name"), "bot": None}


def _hashtags(tweet: Fields) -> list[str]:
    """Return the hashtags that the provider marked."""
    entities = (
        tweet.inner("extended_tweet", _LONG).inner("entities", ("hashtags",)),
        tweet.inner("entities", ("hashtags",)),
    )
    marked = [tag for each in entities for tag in each.objects("hashtags", optional=("text", "tag"))]
    found = [each.word("text") or each.word("tag") for each in marked]
    return [tag for tag in found if tag] or tweet.words("hashtags")


def _counters(tweet: Fields) -> dict[str, int | None]:
    metrics = tweet.inner("public_metrics", _METRICS)
    names = {"replies": ["reply_count"], "reblogs": ["retweet_count"], "favourites": ["like_count", "favorite_count"]}
    return {
        counter: next(
            (count for each in called for place in (metrics, tweet) if (count := place.count(each)) is not None), None
        )
        for counter, called in names.items()
    }
