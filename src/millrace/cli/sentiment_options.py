"""Options that the commands of `millrace sentiment` share: which engine labels, and how it is asked."""

from typing import Annotated

import typer

from millrace import durations
from millrace.errors import ConfigError

Engine = Annotated[str, typer.Option(help="vader, ollama or openai (any server that speaks as OpenAI's does)")]
Model = Annotated[str | None, typer.Option(help="What the server is asked for; default that of the engine")]
BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", help="Of the server; default MILLRACE_OLLAMA_URL or MILLRACE_OPENAI_URL"),
]
Concurrency = Annotated[int, typer.Option(min=1, help="Calls at once")]
Timeout = Annotated[str, typer.Option(help="Of one call, such as 30s or 2m")]


def seconds(timeout: str) -> float:
    """Return the seconds that --timeout tells; raises ConfigError."""
    try:
        found = durations.seconds(timeout)
    except ValueError as error:
        raise ConfigError(f"--timeout: {error}") from None
    if not found:
        raise ConfigError("--timeout: no server answers in no time")
    return found
