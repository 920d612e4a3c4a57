"""Every step that reads a post's text takes time that grows with its length alone: counted in steps, not seconds."""

import re
import sys
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any

import pytest

from millrace import names
from millrace.errors import BadRecord
from millrace.ingest import hashtags
from millrace.ingest.hashtags import on_bluesky, on_mastodon, written
from millrace.ingest.mastodon import html, pages
from millrace.ingest.mastodon.bodies import documents
from millrace.ingest.mastodon.html import plain_text
from millrace.ingest.tweets import cleaning
from millrace.ingest.tweets.cleaning import clean, is_blank, stripped

SIZE = 100_000
PIECES = [
    *map(chr, range(32, 127)), "\t", "\n", "\r", "\0", "\xa0", "é", "\u0301", "\u0315\u0300", "＃", "\u3000", "猫", "٣",
    "#a", "# ", "\n ", " \n", " x", "<p>", "<p>a</p>", "<div>", "<ul>", "<li>", "<br>", "<b>", "<a href='", "<a '",
    '<a b="', "<a ", "<a/", "</", "</p", "<!", "<!--", "<?", "<![CDATA[", "<script>", "<script></script", "<template>",
    "<style>x</style>", "<span class=invisible>", "<span class=invisible>a</span>", "<pre>", "<svg>", "<p><b><i><u>",
    "a=1 ", "&amp", "&#", "&#x", "&#1", "&#0", "&x;", '\\"', '"a",', "http://", "a.", "://", "#/", "a@b.", "-#",
]  # fmt: skip
BEGINNINGS = [
    "", "<pre>", "<p ", "<p a=", "<p a='", "&#", "#", "a", "<script>", "<span class=invisible>", "http://a/", "["
]  # fmt: skip
STEPS: dict[str, Callable[[str], Any]] = {
    "plain_text": plain_text,
    "plain_text without links": partial(plain_text, links=False),
    "written": written,
    "on_bluesky": on_bluesky,
    "on_mastodon": on_mastodon,
    "normalise_hashtag": names.normalise_hashtag,
    "clean": clean,
    "stripped": partial(stripped, links=True, mentions=True),
    "is_blank": is_blank,
    "documents": lambda text: documents(b"[" + text.encode() + b"]"),
}


def lines(step: Callable[[str], Any], text: str) -> int:
    """Count the lines of Python that `step` runs."""
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with suppress(BadRecord):
            step(text)
    finally:
        sys.settrace(before)
    return count


def of_length(piece: str, size: int) -> str:
    return (piece * (size // len(piece) + 1))[:size]


@pytest.mark.parametrize("name", STEPS)
def test_twice_the_text_takes_twice_the_steps(name: str) -> None:
    for beginning in BEGINNINGS:
        for piece in PIECES:
            one, two = (lines(STEPS[name], beginning + of_length(piece, size) + "x") for size in (500, 1000))
            assert two <= 2 * one + 50, (beginning, piece)


@pytest.mark.parametrize("name", STEPS)
def test_so_much_of_any_one_character_takes_few_steps_each(name: str) -> None:
    for piece in PIECES:
        assert lines(STEPS[name], of_length(piece, SIZE)) < 60 * SIZE, piece


# What a regular expression does is not seen in lines, so its form has to show it: after a repeat without bound nothing
# must match, else it would be read again from every place in it.

ENDLESS = re._constants.MAXREPEAT  # type: ignore[attr-defined]


def may_fail_late(items: Any, read: bool = False) -> bool:
    """Return whether something must match behind a repeat without bound that was read, in this sequence."""
    for kind, value in items:
        name = str(kind)
        if read and not (name.endswith("REPEAT") and value[0] == 0):
            return True
        if name.endswith("REPEAT"):
            _, high, inner = value
            endless = high == ENDLESS
            if may_fail_late(inner) or (endless and name != "POSSESSIVE_REPEAT" and len(items) > 1):
                return True
            read = read or endless
        elif name == "SUBPATTERN":
            read = read or has_endless(value[-1])
            if may_fail_late(value[-1]):
                return True
        elif name == "BRANCH":
            if any(may_fail_late(each) for each in value[1]):
                return True
        elif name.startswith("ASSERT") and has_endless(value[1]):
            return True
    return False


def has_endless(items: Any) -> bool:
    return any(
        (str(kind).endswith("REPEAT") and value[1] == ENDLESS) or (str(kind) == "SUBPATTERN" and has_endless(value[-1]))
        for kind, value in items
    )


@pytest.mark.parametrize("module", [html, hashtags, pages, names, cleaning])
def test_no_pattern_reads_a_character_twice(module: Any) -> None:
    for name, pattern in vars(module).items():
        if isinstance(pattern, re.Pattern) and name not in ("_SYMBOL", "_LISTED"):  # of short names
            assert not may_fail_late(re._parser.parse(pattern.pattern)), name  # type: ignore[attr-defined]


@pytest.mark.parametrize("pattern", [r"[ \t]*\n[ \t]*", r"#(?=(\S+))", r"<!--.*?-->", r'"[^"]*"', r"(?:a+b)*"])
def test_patterns_that_do_are_found(pattern: str) -> None:
    assert may_fail_late(re._parser.parse(pattern))  # type: ignore[attr-defined]


def test_many_marks_are_cut_before_they_are_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    normalize = unicodedata.normalize

    def counted(form: str, text: str) -> str:
        sizes.append(len(text))
        return normalize(form, text)

    monkeypatch.setattr(names.unicodedata, "normalize", counted)
    names.normalise_hashtag("a" + "\u0315\u0300" * SIZE)
    assert max(sizes) <= 20 * names.HASHTAG_LENGTH
    sizes.clear()
    clean("a" + "\u0315\u0300" * SIZE)
    assert max(sizes) <= 1 + cleaning.MARKS
    assert names.normalise_hashtag(" " * SIZE + "#" * SIZE + "＃Ab") == "ab"
