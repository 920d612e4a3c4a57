"""Choose what labels: the table of engines, and what one needs to be told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from millrace.sentiment.labels import Labeller
from millrace.sentiment.prompt import CHARACTERS


@dataclass(frozen=True)
class Spec:
    """An engine with all that it needs; plain values, so that it can go to executors. `url` may be None for vader."""

    engine: str
    model: str
    url: str | None = None
    key: SecretStr | None = None
    concurrency: int = 8  # calls at once, of one process
    timeout: float = 30.0  # seconds of one call
    attempts: int = 3  # of one text, where the server may be better the next time
    characters: int = CHARACTERS  # of a text at most


@dataclass(frozen=True)
class Engine:
    """One kind of server, or none: `make` returns what labels, `model` is what it asks by default."""

    name: str
    make: Callable[[Spec], Labeller]
    model: str
    remote: bool = True  # worth a cache


ENGINES: Mapping[str, Engine] = {}
