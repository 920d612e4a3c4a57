"""Convert posts from HTML to the plain text that people see, in time that grows with their length alone.

Parsers that build a tree take quadratic time where tags nest deeply or have many attributes, and anybody can post that.
Text needs no tree: tags are read one after another, as html.spec.whatwg.org/multipage/parsing.html splits them.
"""

import html
import re
from collections.abc import Iterator

HIDDEN = frozenset({"script", "style", "template", "title", "iframe", "noembed", "noframes"})
BLOCKS = frozenset({"p", "div", "blockquote", "pre", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6"})
VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})
VERBATIM = HIDDEN - {"template"} | {"textarea", "xmp"}  # what is in them is no markup
# All repeats are possessive and nothing that follows one must match, so no character is read twice.
_PART = r"""[\s/]++|[^\s/>=]++|=\s*+(?:"[^"]*+"?|'[^']*+'?|[^\s"'>][^\s>]*+)?"""  # of what follows a tag's name
_ATTRIBUTES = re.compile(_PART)
_TAG = re.compile(rf"</?[A-Za-z][^\s/>]*+(?:{_PART})*+>?")
_SPACE = re.compile(r"[ \t\r\n\f]++")
_MANY_LINES = re.compile(r"\n{3,}+")
_ZEROS = re.compile(r"&#0++")
_DIGITS = re.compile(r"&#[0-9]{8}[0-9]*+;?")  # beyond Unicode; Python refuses to read thousands of digits


def plain_text(markup: str, *, links: bool = True) -> str:
    """Return the text of `markup` without its hidden parts, or also without its `links` but those to hashtags.

    Entities are decoded once, `<br>` is a newline, blocks are an empty line apart.
    """
    if "<" not in markup and "&" not in markup:
        return markup.strip()
    text = _Text(keep_lines="<pre" in markup, links=links)
    for name, piece in _pieces(markup):
        text.add(name, piece)
    lines = [line.strip(" \t") for line in "".join(text.pieces).split("\n")]
    return _MANY_LINES.sub("\n\n", "\n".join(lines)).strip()


def _pieces(markup: str) -> Iterator[tuple[str, str]]:
    """Yield texts with the name "", and tags with their names (`/p` for an end), without comments."""
    at = 0
    while (begin := markup.find("<", at)) >= 0:
        yield "", markup[at:begin]
        if tag := _TAG.match(markup, begin):
            at = tag.end()
            name = _name(tag[0])
            yield name, tag[0]
            if name in VERBATIM:
                end = re.compile(rf"</{name}", re.IGNORECASE).search(markup, at)
                yield "", markup[at : end.start() if end else len(markup)]
                at = end.start() if end else len(markup)
        elif markup[begin + 1 : begin + 2] in ("!", "?", "/"):
            close = "-->" if markup.startswith("<!--", begin) else ">"
            end_at = markup.find(close, begin + 2)
            at = end_at + len(close) if end_at >= 0 else len(markup)
        else:
            yield "", "<"
            at = begin + 1
    yield "", markup[at:]


def _name(tag: str) -> str:
    found = _ATTRIBUTES.match(tag, 2 if tag[1] == "/" else 1)
    name = found[0].lower() if found else ""
    return f"/{name}" if tag[1] == "/" else name


class _Text:
    """The pieces of text so far. In a hidden element, `_hidden` is its name, `_depth` how many of that name are open.

    An end tag of a block around it ends it, too: `_blocks` are those that began inside.
    """

    def __init__(self, *, keep_lines: bool, links: bool) -> None:
        self.pieces: list[str] = []
        self._keep_lines, self._links = keep_lines, links
        self._hidden, self._depth, self._blocks = "", 0, 0

    def add(self, name: str, piece: str) -> None:
        if self._hidden:
            self._look_for_end(name)
        elif not name:
            self._add_text(piece)
        elif name in HIDDEN or _is_invisible(name, piece) or (name == "a" and not self._links and _is_link(piece)):
            self._hidden, self._depth, self._blocks = name, 1, 0
        if not self._hidden and name:
            self._add_break(name)

    def _look_for_end(self, name: str) -> None:
        plain = name.removeprefix("/")
        if plain == self._hidden:
            self._depth += 1 if name == plain else -1
        elif plain in BLOCKS and self._hidden not in HIDDEN:
            self._blocks += 1 if name == plain else -1
        if self._depth == 0 or self._blocks < 0:
            self._hidden = ""

    def _add_text(self, piece: str) -> None:
        spaced = piece if self._keep_lines else _SPACE.sub(" ", piece)
        text = _decoded(spaced)
        if text.strip(" ") or not self._begins_line():
            self.pieces.append(text)

    def _add_break(self, name: str) -> None:
        plain = name.removeprefix("/")
        if plain in BLOCKS:
            self.pieces.append("\n\n")
        elif name == "br" or (plain == "li" and not self._begins_line()):
            self.pieces.append("\n")

    def _begins_line(self) -> bool:
        return not self.pieces or self.pieces[-1].endswith("\n")


def _is_invisible(element: str, tag: str) -> bool:
    if "invisible" not in tag or element in VOID or element.startswith("/"):
        return False
    return "invisible" in _words(tag, "class")


def _is_link(tag: str) -> bool:
    """Return whether an `a` leads elsewhere than to a hashtag, which is marked by its class or its relation."""
    return "hashtag" not in _words(tag, "class") and "tag" not in _words(tag, "rel")


def _words(tag: str, attribute: str) -> list[str]:
    """Return the words of an attribute's value, none if the tag lacks it."""
    name = ""
    for part in _ATTRIBUTES.findall(tag, 1):
        if not part.startswith("="):
            name = part.lower() if part.strip(" \t\r\n\f/") else name
        elif name == attribute:
            return part[1:].strip(" \t\r\n\f\"'").split()  # type: ignore[no-any-return]
    return []


def _decoded(text: str) -> str:
    if "&#" in text:
        text = _DIGITS.sub("\ufffd", _ZEROS.sub("&#", text))
    return html.unescape(text) if "&" in text else text
