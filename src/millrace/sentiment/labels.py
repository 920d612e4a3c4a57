"""What labelling a text gives: a label, or the reason why there is none. A failure is never `neutral`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

LABELS = ("positive", "neutral", "negative")
SKIPPED = "skipped"  # how the reason begins of a text that was not asked for: the budget is used up
NO_TEXT = "no text"  # the reason of a post of pictures alone, which nobody is asked about


@dataclass(frozen=True)
class Text:
    """A text to be labelled; `language` is a BCP 47 tag such as en or pt-BR, None where nobody says."""

    text: str
    language: str | None = None


class Outcome(NamedTuple):
    """What became of one text: either `label` or `error`, its reason, is None.

    `score` is how sure the engine is of the label, from 0 to 1, None if it does not say. `latency_ms` and `tokens` (of
    prompt and answer) are of the call that gave the answer, None without a call. `cut`: the text was too long, and only
    its beginning was asked about. `asked` counts the calls made, retries among them.
    """

    label: str | None
    error: str | None
    at: datetime
    score: float | None = None
    latency_ms: int | None = None
    tokens: int | None = None
    cut: bool = False
    asked: int = 0


def unlabelled(reason: str) -> Outcome:
    """Return the outcome of a text that got no label, now."""
    return Outcome(None, reason, datetime.now(UTC))


Told = Callable[[int, Outcome], None]


def untold(place: int, outcome: Outcome) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Budget:
    """How much may be asked at once: until `seconds` have passed, and at most `texts`; None: without limit.

    Texts beyond it are not asked about; their reason begins with SKIPPED.
    """

    seconds: float | None = None
    texts: int | None = None


UNLIMITED = Budget()


class Labeller(Protocol):
    """Labels texts; one per process, which may be used again and again, by one thread at a time.

    `model` and `prompt_version` name what answers, for the cache and the rows.
    """

    @property
    def model(self) -> str: ...
    @property
    def prompt_version(self) -> str: ...
    def label(self, texts: Sequence[Text], budget: Budget = UNLIMITED, told: Told = untold) -> list[Outcome]:
        """Return the outcome of each text, in their order; never raises for what a server does.

        `told` is called with the place and outcome of each answer as it comes, in the calling thread.
        """
        ...
