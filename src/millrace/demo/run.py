"""Run `make demo`: a broker, feeds, a Spark application and a live view, started together and stopped together."""

import importlib.util
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live

from millrace.applications.registry import SEVERAL
from millrace.applications.several import APART
from millrace.config import Settings
from millrace.demo import copied, feeding, labelled, processes
from millrace.demo.pipeline import Copied, Fed
from millrace.demo.pipelines import BLUESKY
from millrace.demo.processes import Process
from millrace.demo.views.store import Documents, Labels, Sides, Store
from millrace.demo.views.widgets import save
from millrace.errors import Unavailable
from millrace.kafka.results import Result
from millrace.logs import escape
from millrace.signals import ignored, interrupt
from millrace.sinks.mongodb import reader

out = Console()
CATCH_UP = 90.0  # seconds at the end, at most, for the jobs to read what the feeds still sent
PAUSE = 0.5  # seconds between refreshes


@dataclass(frozen=True)
class Shown:
    """A pipeline of the demo, the name of what feeds it, and where its counts since the start are."""

    pipeline: Fed | Copied
    feed: str
    store: Store | Documents | Labels | Sides
    since: str

    def draw(self, waiting: str) -> Group:
        """Return its view."""
        group: Group = self.pipeline.view.render(self.store, self.since, self.feed, waiting, self.pipeline.rows)
        return group

    def counted(self) -> bool:
        """Return whether anything was counted since the start."""
        return bool(self.pipeline.view.counted(self.store, self.since))

    def lines(self) -> list[tuple[str, str]]:
        """Return the rows of the final table: a name and its number."""
        return list(self.pipeline.view.lines(self.store, self.since))


def run(
    settings: Settings,
    pipelines: Sequence[Fed | Copied] = (BLUESKY,),
    *,
    source: str = "auto",
    seconds: float | None = None,
    rate: float | None = None,
    picture: Path | None = None,
) -> int:
    """Show what `pipelines` count for `seconds`, or until Ctrl-C or SIGTERM; returns 0, or 1 if one counted nothing.

    One Spark application runs the jobs of all.
    `source`: simulator, live or the pipeline's name (the service itself), or auto (the service, else the simulator).
    `rate` is in events per second of each simulator.
    `picture`: an SVG file for the last view.
    Servers and SQLite file are those of the home, whatever the settings name: simulated events go nowhere else.
    """
    interrupt(signal.SIGTERM, signal.SIGHUP)  # its children end with it, and with its terminal
    since, began = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:00.000Z}", time.monotonic()
    settings = settings.model_copy(update={"sqlite_url": None})
    shown: list[Shown] = []
    verdicts: list[int] = []  # none where it is ended before
    with _stopped_together() as around:
        servers = list(dict.fromkeys(chain.from_iterable(pipeline.servers for pipeline in pipelines)))
        settings = around.enter_context(processes.serving(settings, servers))
        page = around.enter_context(_page(settings))
        with _stopped_together() as children:
            feeds = []
            for pipeline in pipelines:
                fed = feeding.feed(pipeline, source, settings, rate or pipeline.rate, children)
                feeds.append(fed.start(settings, children))
                told = replace(pipeline, job=(*pipeline.job, *fed.job))
                shown.append(Shown(told, fed.name, _store(settings, pipeline), since))
                shown[-1].store.run_file.unlink(missing_ok=True)  # left by an earlier run
            line = ("run", *_job([each.pipeline for each in shown]))
            job = children.enter_context(processes.started(settings, "job", *line))
            page()
            _watch(shown, seconds, [*feeds, job], began)
            _catch_up(shown, feeds)
            verdicts = [_verdict(each.pipeline, settings) for each in shown]  # while the job goes on
        if picture:
            save(picture, _view(shown, "nothing was counted"))
        reports = [_report(each, settings) for each in shown]  # while the servers are there to be read
        return max([*reports, *verdicts], default=0)
    return 0


@contextmanager
def _stopped_together() -> Iterator[ExitStack]:
    """Yield a stack that stops all that is entered into it at the end of the block or the first Ctrl-C.

    Further Ctrl-C change nothing then: a child that is left behind would be worse than the wait.
    """
    with ExitStack() as children:
        try:
            yield children
        except KeyboardInterrupt:
            feeding.say.print("stopping")
        finally:
            with ignored():
                children.close()


def _job(pipelines: Sequence[Fed | Copied]) -> list[str]:
    """Return the arguments of `millrace run`: the job of one pipeline, or those of several in one application."""
    first, *others = (pipeline.job for pipeline in pipelines)
    together = chain.from_iterable((APART, *job) for job in others)
    return [SEVERAL.name, *first, *together] if others else list(first)


def _store(settings: Settings, pipeline: Fed | Copied) -> Store | Documents | Labels | Sides:
    run_file = settings.home / "run" / f"{pipeline.run_file}.json"
    if isinstance(pipeline, Copied):
        return Sides(run_file, copied.Both(settings, pipeline.tables).look)
    if pipeline.labels:
        return Labels(run_file, partial(labelled.look, settings.clickhouse, pipeline.labels.name))
    if pipeline.documents:
        return Documents(run_file, partial(_newest, settings.store_url("mongodb"), pipeline.documents))
    return Store(run_file, Path(settings.sqlite.removeprefix("sqlite:///")), pipeline.feed)


def _newest(url: str, documents: Result, count: int, since: datetime) -> list[dict[str, Any]]:
    try:
        return reader.newest(url, documents, count, since)
    except Unavailable:  # it is drawn again soon, and the job says what is wrong
        return []


@contextmanager
def _page(settings: Settings) -> Iterator[Callable[[], None]]:
    """Serve `millrace view`, which opens a browser if there is one; yields a function that prints its address."""
    if not importlib.util.find_spec("streamlit"):
        yield lambda: feeding.say.print("millrace[view] would show a page, too: `uv sync --extra view`", markup=False)
        return
    with processes.started(settings, "view", "view"):
        yield lambda: feeding.say.print(f"a page of it: {processes.address(settings, 'view')}")


def _view(shown: Sequence[Shown], waiting: str) -> Group:
    return Group(*(each.draw(waiting) for each in shown))


def _watch(shown: Sequence[Shown], seconds: float | None, children: list[Process], began: float) -> None:
    """Refresh the view until the time is up, Ctrl-C, or a process dies (MillraceError)."""
    end = time.monotonic() + (seconds if seconds is not None else float("inf"))
    waiting = "Spark is starting: the first counts come in 10 to 40 s"
    live = Live(console=out, auto_refresh=False, screen=False) if out.is_terminal else None
    silent = [] if live else list(shown)
    try:
        with live or ExitStack():
            while time.monotonic() < end:
                processes.check(children)
                if live:
                    live.update(_view(shown, waiting), refresh=True)
                for each in [each for each in silent if each.counted()]:
                    feeding.say.print(f"first counts of {each.feed} after {time.monotonic() - began:.0f} s")
                    silent.remove(each)
                time.sleep(PAUSE)
    except KeyboardInterrupt:
        feeding.say.print("stopping: the job reads what the feeds still sent; Ctrl-C again does not wait for that")


def _catch_up(shown: Sequence[Shown], feeds: list[Process]) -> None:
    """Stop the feeds, then wait until the jobs have read to the end; Ctrl-C ends that."""
    for feed in feeds:
        processes.stop(feed)
    ended, deadline = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}", time.monotonic() + CATCH_UP
    while time.monotonic() < deadline and not all(each.store.has_read_to(ended) for each in shown):
        time.sleep(PAUSE)


def _verdict(pipeline: Fed | Copied, settings: Settings) -> int:
    """Run what says whether all is right, show what it says, and return its exit code."""
    if not isinstance(pipeline, Copied):
        return 0
    feeding.say.print("comparing both sides")
    with processes.started(settings, "verdict", *pipeline.verdict) as process:
        code = process.wait()
    out.print((settings.home / "logs" / "verdict.log").read_text(), markup=False, highlight=False, soft_wrap=True)
    return code


def _report(shown: Shown, settings: Settings) -> int:
    found = shown.lines()
    if not found:
        feeding.say.print(f"nothing was counted on {shown.feed}: see {settings.home / 'logs'}", style="red")
        return 1
    records = shown.store.progress().get("records", 0)
    feeding.say.print(f"counted on {shown.feed} since {shown.since[11:16]} UTC ({records:,} records read):")
    width = max(cell_len(name) for name, _ in found)
    for name, number in found:
        padding = " " * (width - cell_len(name))  # in cells: some scripts take two per character
        out.print(f"{escape(name)}{padding}  {number}", markup=False, highlight=False, soft_wrap=True)
    return 0
