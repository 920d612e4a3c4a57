"""Read of a statement what HTTP must know: the data that follows an INSERT, and the format of the answer."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

TOKEN = re.compile(
    rb"""(?P<space>\s+|--[^\n]*|/\*.*?\*/) | (?P<word>\w+) | (?P<open>\() | (?P<close>\))
    | (?P<other>'(?:[^'\\]|\\.)*' | `(?:[^`\\]|\\.)*` | "(?:[^"\\]|\\.)*" | .)""",
    re.VERBOSE | re.DOTALL,
)
FOLLOWS = re.compile(rb"[ \t\f]*\r?\n?")  # between the name of a format and the data
BEHIND = (";", "SETTINGS", "INTO")  # what may follow `FORMAT NAME`
READS = {"SELECT", "WITH", "FROM", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "CHECK"}


@dataclass(frozen=True, slots=True)
class Token:
    """A word in upper case or another piece of text, how many parentheses are open before it, and its span."""

    text: str
    depth: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT whose data begins at `begins`; `head` and `tail` are what stands around the place of their source.

    That is `input(structure)`, or where `FROM INFILE` may stand if `structure` is None.
    """

    head: str
    tail: str
    format: str
    begins: int
    structure: str | None

    def reading(self, file: str) -> str:
        """Return the statement that reads its data from a file, whose path is `file` in quotes."""
        if self.structure is None:
            return f"{self.head} FROM INFILE {file} COMPRESSION 'none' {self.tail} FORMAT {self.format}"
        return f"{self.head} file({file}, '{self.format}', {self.structure or 'auto'}, 'none') {self.tail}"


@dataclass(frozen=True, slots=True)
class Query:
    """Any other statement: itself without `FORMAT NAME`, that name if it has one, and whether it answers rows.

    `several`: there are more statements behind it.
    """

    text: str
    format: str | None
    reads: bool
    several: bool


def insert(text: bytes) -> Insert | None:
    """Return the INSERT that begins `text` if data in a format follows it; None if it is another statement."""
    tokens = _tokens(text)
    if (first := next(tokens, None)) is None or first.text != "INSERT":
        return None
    selects, source, settings = False, None, None
    for token in tokens:
        if token.text == "INPUT":
            source = source or _source(text, token, tokens)
        elif token.depth:
            continue
        elif token.text in ("VALUES", "INFILE"):
            return None
        elif token.text in ("SELECT", "WITH"):
            selects = True
        elif token.text == "SETTINGS":
            settings = settings or token.start
        elif token.text == "FORMAT":
            if (name := next(tokens, None)) is None or (selects and source is None):
                return None
            follows = FOLLOWS.match(text, name.end)
            start, end, structure = source or (settings or token.start, settings or token.start, None)
            head, tail = text[:start].decode(), text[end : token.start].decode()
            return Insert(head, tail, text[name.start : name.end].decode(), follows.end() if follows else 0, structure)
    return None


def query(text: bytes) -> Query:
    """Return what `text` is as a statement without data."""
    tokens = [*_tokens(text)]
    reads = next((token.text for token in tokens if token.text != "("), "") in READS
    several = any(token.text == ";" for token in tokens[: len(tokens) - 1])
    for word, name, behind in zip(tokens, tokens[1:], [*tokens[2:], None], strict=False):
        if word.text == "FORMAT" and not word.depth and (behind is None or behind.text in BEHIND):
            bare = text[: word.start] + text[name.end :]
            return Query(bare.decode(), text[name.start : name.end].decode(), reads, several)
    return Query(text.decode(), None, reads, several)


def _source(text: bytes, word: Token, tokens: Iterator[Token]) -> tuple[int, int, str] | None:
    if (begin := next(tokens, None)) is None or begin.text != "(":
        return None
    end = next((token for token in tokens if token.text == ")" and token.depth == word.depth), None)
    return (word.start, end.end, text[begin.end : end.start].decode().strip()) if end else None


def _tokens(text: bytes) -> Iterator[Token]:
    depth = 0
    for found in TOKEN.finditer(text):
        kind = found.lastgroup
        if kind == "close":
            depth -= 1
        if kind != "space":
            piece = found[0].decode(errors="replace")
            yield Token(piece.upper() if kind == "word" else piece, depth, found.start(), found.end())
        if kind == "open":
            depth += 1
