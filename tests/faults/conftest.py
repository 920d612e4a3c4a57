"""Children that do not outlive their test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support import Child


@pytest.fixture
def begin() -> Iterator[Callable[..., Any]]:
    """Start a Child or a Job: begin(Job, "hashtags", settings, home, ...); all are killed at the end."""
    started: list[Child] = []

    def start(kind: type[Child], *arguments: Any, **env: str) -> Child:
        started.append(kind(*arguments, **env))
        return started[-1]

    yield start
    for each in started:
        each.kill()
