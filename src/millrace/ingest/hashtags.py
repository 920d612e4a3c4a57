"""Hashtags as people write them in a text, for providers and posts without markup of their own."""

import re
import unicodedata

_HASH = re.compile(r"(?<!\w)[#＃]")


def written(text: str) -> list[str]:
    """Return the hashtags of `text` as written, without `#`.

    One begins with `#` (or the full-width one) at the start or after what is no word character, and goes on
    with letters, digits, marks and underscores, at least one of them no digit.
    """
    if "#" not in text and "＃" not in text:
        return []
    words = [text[found.end() : _end(text, found.end())] for found in _HASH.finditer(text)]
    return [word for word in words if word and not word.isdigit()]


def _end(text: str, begin: int) -> int:
    """Return where the hashtag from `begin` on ends; it holds no `#`, so no two are read over the same characters."""
    return next((at for at in range(begin, len(text)) if not _in_hashtag(text[at])), len(text))


def _in_hashtag(character: str) -> bool:
    return character.isalnum() or character == "_" or unicodedata.category(character).startswith("M")
