"""Closed sets and checks: hashtags and identifiers, each normalised in this one place."""

import re
import unicodedata
from collections.abc import Iterable

from millrace.errors import ConfigError

HASHTAG_LENGTH = 300  # characters, as the column that stores it
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")
_TOPIC = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}")


def normalise_hashtag(raw: str) -> str:
    """Return the spelling under which a hashtag is counted: NFKC, casefold, no leading `#`; "" if nothing is left."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", raw).casefold())
    return folded.strip().lstrip("#").strip()[:HASHTAG_LENGTH]


def normalise_hashtags(raw: Iterable[str]) -> list[str]:
    """Return each normalised hashtag once, in order of first appearance."""
    return list(dict.fromkeys(tag for tag in map(normalise_hashtag, raw) if tag))


def identifier(name: str) -> str:
    """Return `name` if it may stand as a table, column or index name, else raise ConfigError."""
    if not _IDENTIFIER.fullmatch(name):
        raise ConfigError(f"{name!r} is no identifier: a-z first, then a-z, 0-9 and _, 63 characters at most")
    return name


def topic_name(name: str) -> str:
    """Return `name` if Kafka accepts it as a topic, else raise ConfigError."""
    if not _TOPIC.fullmatch(name):
        raise ConfigError(f"{name!r} is no topic name: A-Z, a-z, 0-9, '.', '_' and '-', 249 characters at most")
    return name
