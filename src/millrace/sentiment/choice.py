"""The engine that options name, with what the settings say of its server."""

from dataclasses import replace
from typing import Any

from millrace.config import Settings
from millrace.sentiment.engine import choose
from millrace.sentiment.spec import Spec


def choice(settings: Settings, engine: str, model: str | None = None, url: str | None = None, **more: Any) -> Spec:
    """Return what `engine` needs; without a `url`, its server is that of the settings. `more`: other fields of Spec.

    The key of the settings goes to engine openai alone, wherever its server is. Raises ConfigError for what is wrong.
    """
    server = url or getattr(settings, f"{engine}_url", None)
    key = settings.openai_api_key if engine == "openai" else None
    return replace(choose(engine, model, server), key=key, **more)
