"""Clean the text of a tweet, in time that grows with its length alone."""

import html
import re
import unicodedata
from collections.abc import Iterator

MARKS = 30  # in a row, as in the Stream-Safe Text Format of UAX #15: sorting more would take quadratic time
# Twitter writes entities with their semicolon; without one, what looks like some is part of a link.
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
_TURNS = [chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))]  # the text around them, too
_LABELS = "\ufeff\ufff9\ufffa\ufffb"  # a mark of byte order, annotations
_STRAYS = dict.fromkeys(map(ord, [*filter(lambda each: not each.isspace(), _CONTROLS), *_TURNS, *_LABELS]))
_LINK = re.compile(r"(?:https?://|(?<![A-Za-z0-9])(?:www\.|pic\.twitter\.com/))[^\s/]*+[!-~]*+", re.IGNORECASE)
_MENTION = re.compile(r"(?<![A-Za-z0-9_!#$%&*@＠./])[@＠][A-Za-z0-9_]{1,20}(?![A-Za-z0-9_@＠])")
_UNSEEN = ("Cf", "Mn", "Me", "Mc")  # categories of what is not to be seen by itself


def clean(text: str) -> str:
    """Return `text` as one line in NFC: entities decoded once, no control characters, single spaces.

    Left out are also marks that turn the direction of what stands around them; what joins emoji stays. A letter keeps
    30 marks.
    """
    decoded = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)
    return " ".join(_composed(decoded.translate(_STRAYS)).split())


def stripped(text: str, *, links: bool = False, mentions: bool = False) -> str:
    """Return a clean text without its links, or without its mentions (`@name`)."""
    if links:
        text = _LINK.sub("", text)
    if mentions:
        text = _MENTION.sub("", text)
    return " ".join(text.split())


def is_blank(text: str) -> bool:
    """Return whether nothing is to be seen in `text`."""
    return all(each.isspace() or unicodedata.category(each) in _UNSEEN for each in text)


def _composed(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", "".join(_calm(text)))


def _calm(text: str) -> Iterator[str]:
    marks = 0
    for each in text:
        marks = marks + 1 if unicodedata.combining(each) else 0
        if marks <= MARKS:
            yield each
