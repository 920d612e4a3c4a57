"""Convert posts from HTML to the plain text that people see."""

import re

from selectolax.lexbor import LexborHTMLParser

HIDDEN = ".invisible, script, style, template, head"
BLOCKS = "p, div, blockquote, pre, ul, ol, h1, h2, h3, h4, h5, h6"
_SPACE = re.compile(r"[ \t\r\n\f]+")
_AROUND_LINES = re.compile(r"[ \t]*\n[ \t]*")
_MANY_LINES = re.compile(r"\n{3,}")


def plain_text(html: str) -> str:
    """Return the text of `html` without its hidden parts.

    Entities are decoded once, `<br>` is a newline, blocks are an empty line apart.
    """
    if "<" not in html and "&" not in html:
        return html.strip()
    tree = LexborHTMLParser(html if "<pre" in html else _SPACE.sub(" ", html))
    while hidden := tree.css_first(HIDDEN):  # one by one: they may be nested
        hidden.decompose()
    for line in tree.css("br"):
        line.replace_with("\n")
    for item in tree.css("li"):
        item.insert_after("\n")
    for block in tree.css(BLOCKS):
        block.insert_before("\n\n")
        block.insert_after("\n\n")
    text = tree.body.text() if tree.body else ""
    return _MANY_LINES.sub("\n\n", _AROUND_LINES.sub("\n", text)).strip()
