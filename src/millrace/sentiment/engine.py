"""Choose what labels: the table of engines, and what one needs to be told."""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from millrace.errors import ConfigError
from millrace.sentiment.labels import Labeller
from millrace.sentiment.spec import Spec
from millrace.urls import is_url

# Each module is imported when its engine is made: the package ollama takes a second.


def _ollama(spec: Spec) -> Labeller:
    from millrace.sentiment import ask, ollama  # noqa: PLC0415

    return ask.Asker(spec, ollama.Ollama)


def _openai(spec: Spec) -> Labeller:
    from millrace.sentiment import ask, openai  # noqa: PLC0415

    return ask.Asker(spec, openai.OpenAI)


def _vader(spec: Spec) -> Labeller:
    from millrace.sentiment import vader  # noqa: PLC0415

    return vader.Vader(spec)


@dataclass(frozen=True)
class Engine:
    """One kind of server, or none: `make` returns what labels, `model` and `url` are the usual ones, if any."""

    name: str
    make: Callable[[Spec], Labeller]
    model: str | None
    url: str | None = None
    remote: bool = True  # worth a cache


ENGINES: Mapping[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine("ollama", _ollama, model="deepseek-r1:1.5b", url="http://127.0.0.1:11434"),
        Engine("openai", _openai, model=None),
        Engine("vader", _vader, model="vader-3.3.2", remote=False),
    )
}


def choose(engine: str, model: str | None = None, url: str | None = None) -> Spec:
    """Return what `engine` needs, with its usual model and address where none is given; `replace` sets the rest.

    Raises ConfigError for all that is wrong or missing.
    """
    if engine not in ENGINES:
        raise ConfigError(f"--engine {engine}: there are {', '.join(ENGINES)}")
    usual = ENGINES[engine]
    if not usual.remote and (url or model not in (None, usual.model)):
        others = " or ".join(each.name for each in ENGINES.values() if each.remote)
        raise ConfigError(f"--engine {engine} takes neither --model nor --base-url: --engine {others} does")
    spec = Spec(engine, model or usual.model or "", url or usual.url)
    if wrong := list(_wrong(spec)):
        raise ConfigError("; ".join(wrong))
    return spec


@functools.cache
def labeller(spec: Spec) -> Labeller:
    """Return what labels by `spec`, one a process, however often it is asked for. Raises ConfigError."""
    if wrong := list(_wrong(spec)):
        raise ConfigError("; ".join(wrong))
    return ENGINES[spec.engine].make(spec)


def _wrong(spec: Spec) -> Iterator[str]:
    if not spec.model:
        yield f"--engine {spec.engine} needs a --model: GET {spec.url or 'URL'}/models tells those of the server"
    if not ENGINES[spec.engine].remote:
        return
    if not spec.url:
        yield f"--engine {spec.engine} needs the address of its server, such as --base-url http://127.0.0.1:8000/v1"
    elif not is_url(spec.url, "http", "https", bare=True):
        yield "--base-url must be http(s)://HOST[:PORT][/PATH] without user, password and query"
    if spec.key and not (spec.key.get_secret_value().isascii() and spec.key.get_secret_value().isprintable()):
        yield "the key of the server holds what no HTTP header can"
