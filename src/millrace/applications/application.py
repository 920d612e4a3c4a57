"""Run a job: its options, its Spark session, its queries, and the exit code."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from millrace import logs
from millrace.applications.job import Application, Bundle, Job
from millrace.errors import ConfigError, MillraceError
from millrace.spark import session
from millrace.spark.supervisor import start_all


def main(job: Job | Bundle, doc: str | None) -> None:
    """Run `job` with the command line's options, as its file in `jobs/` does; --help shows `doc` above the options."""
    with ending():
        run(job, sys.argv[1:], doc)


@contextmanager
def ending() -> Iterator[None]:
    """End the process when the block raises an error of ours, told in one line: exit code 2 for ConfigError, else 1."""
    logs.reclaim_stderr()
    logs.configure()
    try:
        yield
    except MillraceError as error:
        logs.say(f"millrace: {error}")
        sys.stderr.flush()
        os._exit(2 if isinstance(error, ConfigError) else 1)


def run(job: Job | Bundle, argv: Sequence[str], doc: str | None = None) -> None:
    """Run `job` with the options of `argv` until it ends; if one of its queries cannot go on, all stop.

    Each query has the same checkpoint, whatever it runs beside. Raises MillraceError.
    """
    parts = job.parts(doc, argv)
    with ExitStack() as held:
        application = Application(session.create(replace(parts[0].options, job=job.name)), held)
        start_all([flow for part in parts for flow in part.flows(application, part.options)])
