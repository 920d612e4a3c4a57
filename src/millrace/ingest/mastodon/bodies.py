"""Read the body of an instance's answer: a page is read status by status, so that one which is broken costs no other.

JSON as servers write it may hold what is no text, such as half of an emoji (the lone surrogate "\\ud83d"), and one of
them would make the whole body unreadable.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

import orjson

from millrace.errors import BadRecord
from millrace.ingest.fields import Fields

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{},]', re.DOTALL)  # possessive: no byte is read twice


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A part of a body that is no JSON: its bytes, and why. It can still be paged past, where its `id` is legible."""

    data: bytes
    reason: str

    @property
    def id(self) -> str | None:
        """Return the id of the status, None if it cannot be told."""
        try:
            return Fields(json.loads(self.data.decode(errors="replace"))).word("id")
        except (ValueError, RecursionError):
            return None


def documents(body: bytes) -> Any:
    """Return the JSON in `body`; of an array that cannot be read at once, each element, or what is Unreadable of it.

    Raises BadRecord for what is no JSON, or only the beginning of some.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        reason = f"no JSON: {error}"
    inner = body.strip()
    if inner[:1] not in (b"[", b"{"):
        raise BadRecord(reason)
    elements = _elements(inner)
    return [_document(each) for each in elements] if inner[:1] == b"[" else Unreadable(inner, reason)


def source(document: Any) -> bytes:
    """Return the bytes of a document for a dead letter."""
    return document.data if isinstance(document, Unreadable) else orjson.dumps(document)


def _document(element: bytes) -> Any:
    try:
        return orjson.loads(element)
    except orjson.JSONDecodeError as error:
        return Unreadable(element, f"no JSON: {error}")


def _elements(body: bytes) -> list[bytes]:
    """Return what stands between the commas of the outermost brackets; raises BadRecord unless they enclose all."""
    depth = begin = 0
    found = []
    for token in _TOKEN.finditer(body):
        sign = token[0]
        depth += (sign in (b"[", b"{")) - (sign in (b"]", b"}"))
        if depth == 0 or (depth == 1 and sign == b","):
            found.append(body[begin : token.start()])
        if depth == 0:
            begin = token.end()
            break
        if depth == 1 and sign in (b"[", b"{", b","):
            begin = token.end()
    if depth or begin != len(body):
        raise BadRecord("no JSON: it ends in the middle")
    return [each for each in found if each.strip()]
