"""Hashtags as people write them in a text, for posts without the provider's markup, by each provider's published rule.

A provider's own rule finds hashtags at the start of a text and after white space alone, so never inside a link.
"""

import unicodedata
from collections.abc import Callable, Iterator

HASHES = ("#", "＃")
_BLUESKY_ENDS = frozenset("\u00ad\u2060\u200a\u200b\u200c\u200d\u20e2")
_BLUESKY_LENGTH = 64  # UTF-16 code units
_SEPARATORS = frozenset("\u00b7\u30fb\u200c")  # which Mastodon allows within a hashtag
_BEFORE = frozenset("_&=/)")  # and letters and digits: what follows them is part of a word, an entity or an address
KEYCAP = ("\ufe0f", "\u20e3")  # behind a #, they make an emoji of it


def on_bluesky(text: str) -> list[str]:
    """Return the hashtags of a post of Bluesky as written, without `#`.

    They are those of TAG_REGEX in packages/api/src/rich-text/util.ts of bluesky-social/atproto: up to white space or a
    zero-width character, with one character at least that is neither digit nor punctuation; what is punctuation at the
    end is none of it.
    """
    return [tag for word in _begun(text) if (tag := _bluesky_tag(word))]


def on_mastodon(text: str) -> list[str]:
    """Return the hashtags of a post of Mastodon as written, without `#`.

    They are those of HASHTAG_RE in app/models/concerns/tag/naming.rb of mastodon/mastodon: letters, marks, digits and
    `_`, with separators between them, and a letter at least or a separator inside.
    """
    return [tag for word in _begun(text) if (tag := _mastodon_tag(word))]


def written(text: str) -> list[str]:
    """Return the hashtags of `text` as written, without `#`, where the provider has no rule of its own.

    One begins with `#` (or the full-width one) after what is no word, entity or address, outside links, and goes on
    with letters, digits, marks and underscores, at least one of them a letter or an underscore.
    """
    words = (word for word in text.split() if any(sign in word for sign in HASHES))
    return [tag for word in words for tag in _anywhere(_unlinked(word)) if any(map(_is_letter, tag))]


def _begun(text: str) -> Iterator[str]:
    """Yield what follows the hashes with which words begin."""
    if not any(sign in text for sign in HASHES):
        return iter(())
    return (word[1:] for word in text.split() if word.startswith(HASHES))


def _bluesky_tag(word: str) -> str:
    tag = _run(word, 0, lambda character: character not in _BLUESKY_ENDS)
    last = next((at for at in reversed(range(len(tag))) if unicodedata.category(tag[at])[0] != "P"), -1)
    tag = tag[: last + 1]
    short = len(tag) <= _BLUESKY_LENGTH and len(tag.encode("utf-16-le")) <= 2 * _BLUESKY_LENGTH
    return tag if short and not tag.startswith(KEYCAP) and any(map(_tells, tag)) else ""


def _mastodon_tag(word: str) -> str:
    run = _run(word, 0, lambda character: _in_hashtag(character) or character in _SEPARATORS)
    tag = run.rstrip("".join(_SEPARATORS))
    inside = any(character == "_" or character in _SEPARATORS for character in tag[1:-1])
    return tag if tag[:1] not in _SEPARATORS and (inside or any(map(str.isalpha, tag))) else ""


def _unlinked(word: str) -> str:
    """Return what comes before a link in a word without white space: a link has a scheme, or a domain and a path."""
    before, scheme, _ = word.partition("://")
    domain, path, _ = before.partition("/")
    is_domain = path and domain.rpartition(".")[2].isalpha() and "." in domain and not any(h in domain for h in HASHES)
    return "" if is_domain or (scheme and not any(h in before for h in HASHES)) else before


def _anywhere(word: str) -> Iterator[str]:
    """Yield the runs behind each hash; none of them holds a hash, so no character is read twice."""
    for at, sign in enumerate(word):
        before = word[at - 1 : at]
        if sign in HASHES and not (before.isalnum() or before in _BEFORE):
            yield _run(word, at + 1, _in_hashtag)


def _run(word: str, begin: int, goes_on: Callable[[str], bool]) -> str:
    end = next((at for at in range(begin, len(word)) if not goes_on(word[at])), len(word))
    return word[begin:end]


def _in_hashtag(character: str) -> bool:
    return character.isalnum() or character == "_" or unicodedata.category(character).startswith("M")


def _is_letter(character: str) -> bool:
    return character.isalpha() or character == "_"


def _tells(character: str) -> bool:
    return not character.isdecimal() and unicodedata.category(character)[0] not in "PM"
