"""One Spark session for jobs that run inside the test process, and children that do not outlive their test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyspark.sql import SparkSession
from tests.support import Child

from millrace import explore


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """The session that `run_job` uses: the one of notebooks, with the project's settings."""
    session = explore.session()
    session.conf.set("spark.sql.shuffle.partitions", "2")
    yield session
    session.stop()


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
