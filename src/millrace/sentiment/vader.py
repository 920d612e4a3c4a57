"""The lexicon VADER: no server, no download, English alone."""

import functools
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from time import monotonic

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from millrace.sentiment.labels import NO_TEXT, SKIPPED, UNLIMITED, Budget, Outcome, Text, Told, unlabelled, untold
from millrace.sentiment.spec import Spec

THRESHOLD = 0.05  # of the compound value, as VADER's authors set it
UNKNOWN_LANGUAGE = "unknown language"


class Vader:
    """Labels English texts; of others, and of those whose language nobody says, the error is `unknown language`.

    The score of positive and negative is the strength of VADER's compound value, that of neutral 1 less it.
    """

    model = f"vader-{version('vaderSentiment')}"
    prompt_version = f"compound-{THRESHOLD}"

    def __init__(self, spec: Spec) -> None:
        self._characters = spec.characters
        self._analyzer = SentimentIntensityAnalyzer()

    def label(self, texts: Sequence[Text], budget: Budget = UNLIMITED, told: Told = untold) -> list[Outcome]:
        """Return the outcome of each text, in their order."""
        until = None if budget.seconds is None else monotonic() + budget.seconds
        outcomes: list[Outcome] = []
        for place, text in enumerate(texts):
            if budget.texts is not None and place >= budget.texts:
                outcome = unlabelled(f"{SKIPPED}: more than {budget.texts} texts")
            elif until is not None and monotonic() >= until:
                outcome = unlabelled(f"{SKIPPED}: {budget.seconds:g} s were over")
            else:
                outcome = self._labelled(text)
            outcomes.append(outcome)
            told(place, outcome)
        return outcomes

    def _labelled(self, text: Text) -> Outcome:
        if not is_english(text.language):
            return unlabelled(UNKNOWN_LANGUAGE)
        if not text.text.strip():
            return unlabelled(NO_TEXT)
        compound = self._analyzer.polarity_scores(text.text[: self._characters])["compound"]
        label = "positive" if compound >= THRESHOLD else "negative" if compound <= -THRESHOLD else "neutral"
        score = 1 - abs(compound) if label == "neutral" else abs(compound)
        cut = len(text.text) > self._characters
        return Outcome(label, None, datetime.now(UTC), score, None, None, cut)  # names would take longer


@functools.lru_cache
def is_english(language: str | None) -> bool:
    """Return whether a BCP 47 tag is of English: en, en-GB, ..."""
    return (language or "").partition("-")[0].lower() == "en"
