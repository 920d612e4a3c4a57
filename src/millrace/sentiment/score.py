"""How sure a model is of its label, from the probabilities of the tokens that it wrote."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from millrace.sentiment.labels import LABELS


class Token(NamedTuple):
    """A token of an answer with its log-probability, and those of the likeliest at its place."""

    text: str
    logprob: float
    others: Sequence[tuple[str, float]] = ()


def of(label: str, tokens: Sequence[Token]) -> float | None:
    """Return the probability of `label` among the labels, from 0 to 1; None where the tokens do not say.

    A label may be several tokens: each tells how likely the labels that are still possible end in this one.
    """
    start = _start(label, tokens)
    if start is None:
        return None
    score, said, place = 1.0, "", 0
    for token in tokens:
        here, place = token.text[max(0, start - place) :], place + len(token.text)
        if place <= start:
            continue
        score *= _share(label, said, _pieces(token, here, said))
        said += here.lower()
        if sum(each.startswith(said) for each in LABELS) <= 1:
            break
    return score if math.isfinite(score) else None


def _start(label: str, tokens: Iterable[Token]) -> int | None:
    """Return where the label begins in the whole text: the last time, for a model may have thought aloud before."""
    found = list(re.finditer(label, "".join(token.text for token in tokens), re.IGNORECASE | re.ASCII))
    return found[-1].start() if found else None


def _share(label: str, said: str, pieces: Iterable[tuple[str, float]]) -> float:
    """Return the share of `label` in the probability of all pieces that go on from `said` to a label."""
    ours = whole = 0.0
    for piece, logprob in pieces:
        goes_on = said + piece
        leads_to = [each for each in LABELS if piece and (each.startswith(goes_on) or goes_on.startswith(each))]
        weight = math.exp(min(logprob, 0.0)) if leads_to else 0.0
        whole += weight
        ours += weight if label in leads_to else 0.0
    return ours / whole if whole else math.nan


def _pieces(token: Token, here: str, said: str) -> Iterator[tuple[str, float]]:
    """Yield what each token of a place adds to a label; the first one may bring the quotation mark before it."""
    yield here.lower(), token.logprob
    for text, logprob in token.others:
        if text != token.text:
            yield (text if said else text.lstrip(' "')).lower(), logprob
