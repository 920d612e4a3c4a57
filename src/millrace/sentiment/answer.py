"""From what a model answered to a label, by strict rules: whatever is not plainly one label is none."""

import json
import re
from collections.abc import Iterable
from typing import Any

from millrace.errors import MillraceError
from millrace.logs import escape
from millrace.sentiment.labels import LABELS
from millrace.sentiment.prompt import INSTRUCTION

SHOWN = 100  # characters of an answer that a reason quotes
_BEGINNING = INSTRUCTION[:40]
_CLOSED = "</think>"
_FENCED = re.compile(r"```(?:json(?=\s))?([^`]*)```", re.IGNORECASE)


class NoLabel(MillraceError):
    """An answer that holds no label; says why in a line."""


def label(content: str | None, thinking: str | None = None) -> str:
    """Return the label that `content` is, or `thinking` where content says nothing; raises NoLabel.

    A label stands alone, or in a JSON object under `sentiment`. Case, blanks and one full stop are forgiven, a code
    fence and thoughts are taken off. None is looked for in sentences, longer words, lists or nested objects.
    """
    said = _without_thoughts(content or "") or _without_thoughts(thinking or "")
    if not said:
        raise NoLabel("no label: the answer is empty")
    fenced = _FENCED.fullmatch(said)
    inner = fenced[1].strip() if fenced else said
    found = _normalised(_sentiment(inner) if inner.startswith("{") else inner)
    if found not in LABELS:
        raise NoLabel(f"no label: {shown(said)}")
    return found


def shown(text: str) -> str:
    """Return the beginning of `text` for a reason: one line, and nothing of the instruction, should it be repeated."""
    before, repeated, _ = text[:1_000].partition(_BEGINNING)
    line = escape(" ".join(before.split()) + ("(the instruction)" if repeated else ""))
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + "…"


def _without_thoughts(text: str) -> str:
    """Return what stands behind the last thought, whose beginning may have been in the prompt."""
    lower = text.lower()
    if len(lower) != len(text):  # letters that are two in lower case: places would not fit
        lower = text
    end = lower.rfind(_CLOSED)
    start = end + len(_CLOSED) if end >= 0 else 0
    return text[start:].strip()


def _sentiment(text: str) -> Any:
    """Return what a JSON object has under `sentiment`; raises NoLabel where that is not one thing."""
    try:
        pairs = json.loads(text, object_pairs_hook=list)
    except (ValueError, RecursionError):
        raise NoLabel(f"no label: {shown(text)}") from None
    found = _values(pairs)
    if len(set(map(_normalised, found))) > 1:
        raise NoLabel(f"no label: several in {shown(text)}")
    return found[0] if found else None


def _values(pairs: Iterable[tuple[str, Any]]) -> list[Any]:
    return [value for name, value in pairs if name == "sentiment"]


def _normalised(value: Any) -> str | None:
    return value.strip().removesuffix(".").strip().lower() if isinstance(value, str) else None
