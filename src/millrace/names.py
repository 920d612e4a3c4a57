"""Closed sets and checks: hashtags, languages, identifiers and stock symbols, each normalised in this one place."""

import re
import unicodedata
from collections.abc import Collection, Iterable
from functools import lru_cache

from millrace.errors import ConfigError

HASHTAG_LENGTH = 300  # characters, as the column that stores it
_BEFORE_HASHTAG = "#＃﹟" + "".join(filter(str.isspace, map(chr, range(0x3001))))
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")
LANGUAGE_LENGTH = 64  # characters, as the column that stores it
LANGUAGE = r"[A-Za-z]{2,8}([_-][A-Za-z0-9]{1,8}){0,31}"  # Java reads it, too
UNKNOWN_LANGUAGE = "und"  # "undetermined" in BCP 47
_LANGUAGE = re.compile(LANGUAGE)
_CASES = {2: str.upper, 4: str.capitalize}  # of subtags: a region, a script
SYMBOL_LENGTH = 64  # characters, as the column that stores it
_SYMBOL = re.compile(r"(?=.*[A-Z0-9])[A-Z0-9^][A-Z0-9:._^=&-]{0,63}")
# Behind an exchange stands its own spelling; no quotes, backslashes, % and ; for people who paste it into SQL.
_LISTED = re.compile(r"(?=[^:]*:.*\w)[A-Z0-9][A-Z0-9 ._-]{0,31}:(?! )[\w .:^=&/+*#@$!()~|-]{1,62}(?<! )")
CASE_NUMBERS = (  # of a country: all, those of the last day, and those at present
    *("total_cases_count", "total_deaths_count", "total_recovered_count"),
    *("new_cases_count", "new_deaths_count", "new_recovered_count"),
    *("active_cases_count", "critical_cases_count"),
)
_TOPIC = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}")


def normalise_hashtag(raw: str) -> str:
    """Return the spelling under which a hashtag is counted: NFKC, casefold, no leading `#`; "" if nothing is left."""
    begun = raw.lstrip(_BEFORE_HASHTAG)[: 4 * HASHTAG_LENGTH]  # sorting thousands of marks takes quadratic time
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", begun).casefold())
    return folded.strip().lstrip("#").strip()[:HASHTAG_LENGTH].rstrip()


def normalise_hashtags(raw: Iterable[str]) -> list[str]:
    """Return each normalised hashtag once, in order of first appearance."""
    return list(dict.fromkeys(tag for tag in map(normalise_hashtag, raw) if tag))


def language_tag(raw: str | None) -> str | None:
    """Return a language tag of BCP 47 as RFC 5646 (2.1.1) writes it, such as en, en-US or zh-Hant-TW.

    `_` is read as `-`. None is what names no language: nothing, und, or what is no tag.
    """
    return _language_tag(raw.strip(" ")) if raw and len(raw) <= LANGUAGE_LENGTH else None


@lru_cache(maxsize=4096)
def _language_tag(tag: str) -> str | None:
    if not _LANGUAGE.fullmatch(tag):
        return None
    first, *others = tag.lower().replace("_", "-").split("-")
    single = next((at for at, each in enumerate(others) if len(each) == 1), len(others))
    cased = [_CASES.get(len(each), str)(each) for each in others[:single]]  # behind a singleton all is in lower case
    return None if first == UNKNOWN_LANGUAGE else "-".join([first, *cased, *others[single:]])


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


def symbol(name: str) -> str:
    """Return `name` if it may be a symbol that a feed lists, else raise ConfigError.

    It is one of a stock, such as AAPL or M&M.NS, or what an exchange calls it, such as BINANCE:BTCUSDT, HUOBI:btcusdt,
    IC MARKETS:1 or FXCM:EUR/USD.
    """
    if not _is_symbol(name):
        shown = repr(name if len(name) <= SYMBOL_LENGTH else name[:SYMBOL_LENGTH] + "...")
        hint = f" (did you mean {name.upper()}?)" if _is_symbol(name.upper()) else ""
        raise ConfigError(
            f"{shown} is no symbol: A-Z, 0-9, ':', '.', '_', '^', '=', '&' and '-', behind an exchange and ':' also "
            f"letters of any kind, spaces and / + * # @ $ ! ( ) ~ |, {SYMBOL_LENGTH} characters at most{hint}"
        )
    return name


def _is_symbol(name: str) -> bool:
    return len(name) <= SYMBOL_LENGTH and bool(_SYMBOL.fullmatch(name) or _LISTED.fullmatch(name))


def symbol_topic(name: str) -> str:
    """Return the topic of a symbol's candles: BINANCE:BTCUSDT has BINANCE_BTCUSDT."""
    return re.sub(r"[^A-Za-z0-9]", "_", symbol(name))


def symbol_topics(names: Iterable[str]) -> dict[str, str]:
    """Return the topic of each symbol; raises ConfigError that names every wrong one, and two that share a topic.

    Topics that differ in case alone are shared, too: the symbols' views would have one name.
    """
    topics: dict[str, str] = {}
    problems = []
    for name in dict.fromkeys(names):
        try:
            topic = symbol_topic(name)
        except ConfigError as error:
            problems.append(str(error))
            continue
        shared = (other for other, used in topics.items() if used.lower() == topic.lower())
        problems += [f"{other} and {name} would both be {topic}" for other in shared]
        topics[name] = topic
    if problems:
        raise ConfigError("; ".join(problems))
    return topics


def symbol_view(name: str, taken: Collection[str] = ()) -> str:
    """Return the SQL view of a symbol: its topic in lower case, with s_ where that is no identifier or `taken`."""
    plain = symbol_topic(name).lower()
    return plain if _IDENTIFIER.fullmatch(plain) and plain not in taken else identifier(f"s_{plain}"[:63])
