"""What an engine needs to be told."""

from dataclasses import dataclass

from pydantic import SecretStr

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
    tokens: int = 64  # of an answer at most; a model whose thinking cannot be turned off needs hundreds
