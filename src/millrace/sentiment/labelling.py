"""Label texts by an engine, each distinct one once: what is known is taken from the cache, what comes is kept."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from millrace.sentiment.cache import Cache, text_hash
from millrace.sentiment.engine import ENGINES, labeller
from millrace.sentiment.labels import UNLIMITED, Budget, Labeller, Outcome, Text
from millrace.sentiment.spec import Spec

KEEP_AFTER = 1.0  # seconds after which answers are stored: a killed process has to ask no more than these again
KEEP_AT = 200  # answers that are stored at once at most


@dataclass(frozen=True)
class Labelling:
    """How texts are labelled: an engine, and where its answers are kept; plain values, which go to executors."""

    spec: Spec
    cache_url: str

    @property
    def cached(self) -> bool:
        """Whether answers are kept: those of a server are."""
        return ENGINES[self.spec.engine].remote

    def labeller(self) -> Labeller:
        """Return what labels: one per process, whose connections stay open."""
        return labeller(self.spec)

    def cache(self) -> Cache:
        """Return where its answers are kept."""
        labeller = self.labeller()
        return Cache(self.cache_url, labeller.model, labeller.prompt_version)

    def label(self, texts: Sequence[Text], budget: Budget = UNLIMITED) -> list[Outcome]:
        """Return the outcome of each text, in their order; equal ones have one.

        Where more is to be asked than `budget` allows, those with the lowest hashes are: a fair sample, and the same
        again. Raises Unavailable when the cache is away, nothing for what the engine's server does.
        """
        if not self.cached:
            return self.labeller().label(texts, budget)
        names = [text_hash(each.text) for each in texts]
        wanted = dict(sorted(zip(names, texts, strict=True), key=lambda each: each[0]))
        cache = self.cache()
        known = cache.find(list(wanted))
        asked = {name: text for name, text in wanted.items() if name not in known}
        keeping = _Keeping(cache, list(asked))
        try:
            known |= zip(asked, self.labeller().label(list(asked.values()), budget, keeping.take), strict=True)
        finally:
            keeping.keep()
        return [known[name] for name in names]


@dataclass
class _Keeping:
    """Stores answers while others are awaited: a neighbour that fails, or a process that dies, costs none of them."""

    cache: Cache
    names: list[str]
    held: dict[str, Outcome] = field(default_factory=dict)
    kept: float = field(default_factory=time.monotonic)

    def take(self, place: int, outcome: Outcome) -> None:
        self.held[self.names[place]] = outcome
        if len(self.held) >= KEEP_AT or time.monotonic() - self.kept > KEEP_AFTER:
            self.keep()

    def keep(self) -> None:
        held, self.held = self.held, {}
        self.cache.keep(held)
        self.kept = time.monotonic()
