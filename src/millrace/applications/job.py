"""Define what a job is: a name, a line of help, its options, and the queries that it makes of them."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from millrace.spark.options import MAX_OFFSETS, Options, parse, windows
from millrace.spark.supervisor import Flow


@dataclass(frozen=True)
class Application:
    """One Spark application: the session that its jobs share, and the resources that they hold until it ends."""

    spark: SparkSession
    held: ExitStack


Flows = Callable[[Application, Options], list[Flow]]


@dataclass(frozen=True)
class Part:
    """One of the jobs that an application runs: its parsed options, and the function that makes its queries."""

    options: Options
    flows: Flows


@dataclass(frozen=True)
class Job:
    """One job; `registry.JOBS` is the table of them.

    `flows` makes its queries. `add` adds its own options to those that every job shares. `sinks` are its default sinks,
    or a function of the parsed options that returns them, and so is `max_offsets`; `source` and `trigger` are the
    defaults of those options.
    `check` raises ConfigError for options that do not go together. `alone` says why it does not run beside others, ""
    if it does.
    """

    name: str
    help: str
    flows: Flows
    add: Callable[[ArgumentParser], Any] = windows
    sinks: Sequence[str] | Callable[[Namespace], Sequence[str]] = ("sqlite",)
    source: str = "bluesky"
    trigger: str = "1 seconds"
    max_offsets: int | Callable[[Namespace], int] = MAX_OFFSETS
    check: Callable[[Options], None] = lambda options: None
    alone: str = ""

    def parts(self, doc: str | None, argv: Sequence[str]) -> list[Part]:
        """Return this job with the options of `argv`; --help shows `doc` and exits. Raises ConfigError."""
        options = parse(
            self.name, doc, argv, sinks=self.sinks, add=self.add, source=self.source, trigger=self.trigger,
            max_offsets=self.max_offsets,
        )  # fmt: skip
        self.check(options)
        return [Part(options, self.flows)]


@dataclass(frozen=True)
class Bundle:
    """Several jobs in one application, chosen by its command line; `parts` returns them, as that of a job does."""

    name: str
    help: str
    parts: Callable[[str | None, Sequence[str]], list[Part]]
    alone: str = ""
