"""Start what feeds a pipeline of the demo: the service's adapter, the simulator in its place, who changes tables."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from rich.console import Console

from millrace.config import Settings
from millrace.demo import copied, processes
from millrace.demo.pipeline import Copied, Fed
from millrace.demo.processes import Process
from millrace.errors import MillraceError

say = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Feed:
    """What feeds a pipeline: its name, the command's words and environment, and what the job is told more."""

    name: str
    words: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    job: tuple[str, ...] = ()

    def start(self, settings: Settings, children: ExitStack) -> Process:
        """Run it until `children` are closed; its log is named after its first two words."""
        started = processes.started(settings, "-".join(self.words[:2]), *self.words, **self.environment)
        return children.enter_context(started)


def feed(pipeline: Fed | Copied, source: str, settings: Settings, rate: float, children: ExitStack) -> Feed:
    """Return what feeds a pipeline; starts what that needs."""
    seed = str(int(time.time()))  # another run's posts would count as duplicates
    if isinstance(pipeline, Copied):
        copied.capture(settings, pipeline.tables)
        return Feed(pipeline.service, (*pipeline.workload, "--rate", str(rate), "--seed", seed))
    fed = _fed(pipeline, source, settings, ("--rate", str(rate), "--seed", seed), children)
    return Feed(fed.name, ("ingest", pipeline.feed, *fed.words), fed.environment, fed.job)


def _fed(pipeline: Fed, source: str, settings: Settings, simulator: tuple[str, ...], children: ExitStack) -> Feed:
    """Return what the adapter reads; starts the simulator, with its options, and the second double, if need be."""
    if source != "simulator":
        if reason := pipeline.unreachable(settings):
            if source != "auto":
                raise MillraceError(f"{pipeline.service} cannot be reached: {reason}")
            say.print(f"{pipeline.service} cannot be reached ({reason}): the built-in simulator feeds the demo")
        else:
            urls = [word for url in pipeline.urls(settings) for word in (pipeline.option, url)]
            return Feed(pipeline.service, (*urls, *pipeline.live()))
    name = f"simulator-{pipeline.feed}"
    options = ("--port", "0", *simulator, *pipeline.simulator)
    children.enter_context(processes.started(settings, name, "simulate", pipeline.feed, *options))
    told = (pipeline.option, processes.address(settings, name), *pipeline.simulated)
    job: tuple[str, ...] = ()
    if pipeline.second:
        double, option, path = pipeline.second
        children.enter_context(processes.started(settings, double, "simulate", double, "--port", "0"))
        job = (option, processes.address(settings, double) + path)
    return Feed(f"simulated {pipeline.service}", told, pipeline.environment, job)
