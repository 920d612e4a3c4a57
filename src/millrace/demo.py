"""`make demo`: a broker, a feed, a job and a live view, started together and stopped together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import ModuleType

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live

from millrace import stack
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.logs import escape
from millrace.pipelines import BLUESKY, Pipeline
from millrace.screen import Store, save

out = Console()
say = Console(stderr=True, highlight=False)
STOP_WITHIN = 45.0  # seconds for a process to end after SIGTERM
CATCH_UP = 20.0  # seconds at the end for the job to read what the feed still sent


def run(
    settings: Settings,
    pipeline: Pipeline = BLUESKY,
    *,
    source: str = "auto",
    seconds: float | None = None,
    rate: float | None = None,
    picture: Path | None = None,
) -> int:
    """Show what `pipeline` counts until Ctrl-C or for `seconds`; returns 0, or 1 if nothing was counted.

    `source`: simulator, live or the pipeline's name (the service itself), or auto (the service, else the simulator).
    `rate` is in events a second of the simulator.
    `picture`: an SVG file for the last view.
    """
    began, view = datetime.now(UTC), pipeline.view
    with ExitStack() as running:
        running.enter_context(_servers(settings))
        options, feed = _feed(pipeline, source, settings, rate or pipeline.rate, running)
        ingest = running.enter_context(_process(settings, "ingest", "ingest", pipeline.name, *options))
        job = running.enter_context(_process(settings, pipeline.job[0], "run", *pipeline.job))
        run_file = settings.home / "run" / f"{pipeline.run_file}.json"
        store = Store(Path(settings.sqlite.removeprefix("sqlite:///")), run_file)
        since = began.strftime("%Y-%m-%dT%H:%M:00.000Z")
        render = partial(view.render, store, since, feed)
        _watch(render, partial(view.counted, store, since), seconds, [ingest, job])
        _catch_up(store, ingest)
    if picture:
        save(picture, render("nothing was counted"))
    return _report(view, store, since, feed)


@contextmanager
def _servers(settings: Settings) -> Iterator[None]:
    """Kafka while the demo runs; one that ran before goes on running after."""
    ours = not any(row.name == "kafka" and row.ready for row in stack.status(settings))
    stack.up(["kafka"], settings)
    try:
        yield
    finally:
        if ours:
            stack.down(settings, ["kafka"])


def _feed(
    pipeline: Pipeline, source: str, settings: Settings, rate: float, running: ExitStack
) -> tuple[list[str], str]:
    """Return the adapter's options and what feeds it; the simulator is started where it does."""
    if source != "simulator":
        if reason := pipeline.unreachable(settings):
            if source != "auto":
                raise MillraceError(f"{pipeline.service} cannot be reached: {reason}")
            say.print(f"{pipeline.service} cannot be reached ({reason}): the built-in simulator feeds the demo")
        else:
            urls = [word for url in pipeline.urls(settings) for word in (pipeline.option, url)]
            return [*urls, *pipeline.live], pipeline.service
    seed = str(int(time.time()))  # another run's posts would be dropped as repeated
    options = ("--port", "0", "--rate", str(rate), "--seed", seed, *pipeline.simulator)
    running.enter_context(_process(settings, "simulator", "simulate", pipeline.name, *options))
    url = _wait_for_url(settings.home / "logs" / "simulator.log")
    return [pipeline.option, url, *pipeline.simulated], f"simulated {pipeline.service}"


def _wait_for_url(log: Path) -> str:
    for _ in range(200):
        for line in log.read_text().splitlines() if log.exists() else ():
            if line.startswith("ready "):
                return line.split()[1]
        time.sleep(0.1)
    raise MillraceError(f"the simulator did not start: see {log}")


@contextmanager
def _process(settings: Settings, name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `millrace ARGUMENTS` with its output in logs/<name>.log; SIGTERM at the end."""
    log = settings.home / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "MILLRACE_HOME": str(settings.home), "PYTHONUNBUFFERED": "1"}
    log.unlink(missing_ok=True)
    with log.open("ab") as file:  # appending, for spark-submit and the job both write
        process = subprocess.Popen(
            [sys.executable, "-m", "millrace", *arguments],
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _watch(
    render: Callable[[str], Group],
    counted: Callable[[], bool],
    seconds: float | None,
    processes: list[subprocess.Popen[bytes]],
) -> None:
    """Refresh the view until the time is up, Ctrl-C, or a process dies (MillraceError)."""
    end = time.monotonic() + (seconds if seconds is not None else float("inf"))
    waiting = "Spark is starting: the first counts come in 10 to 40 s"
    live = Live(console=out, auto_refresh=False, screen=False) if out.is_terminal else None
    first = True
    try:
        with live or ExitStack():
            while time.monotonic() < end:
                _check(processes)
                if live:
                    live.update(render(waiting), refresh=True)
                elif first and counted():
                    say.print(f"first counts {datetime.now(UTC):%H:%M:%S} UTC")
                    first = False
                time.sleep(0.5)
    except KeyboardInterrupt:
        say.print("stopping")


def _check(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is not None:
            arguments = " ".join(map(str, process.args[2:]))  # type: ignore[index]
            raise MillraceError(f"`{arguments}` ended with exit code {process.returncode}: see the logs folder")


def _catch_up(store: Store, ingest: subprocess.Popen[bytes]) -> None:
    """Stop the feed, then let the job read to the end."""
    _stop(ingest)
    deadline = time.monotonic() + CATCH_UP
    while time.monotonic() < deadline:
        before = store.progress()
        time.sleep(1.2)
        if before.get("kafka_lag") == 0 and store.progress().get("records") == before.get("records"):
            return


def _report(view: ModuleType, store: Store, since: str, feed: str) -> int:
    found = list(view.lines(store, since))
    if not found:
        say.print(f"nothing was counted: see {store.run_file.parent.parent / 'logs'}", style="red")
        return 1
    progress = store.progress()
    say.print(f"counted on {feed} since {since[11:16]} UTC ({progress.get('records', 0):,} records read):")
    width = max(cell_len(name) for name, _ in found)
    for name, number in found:
        padding = " " * (width - cell_len(name))  # of cells: some scripts take two a character
        out.print(f"{escape(name)}{padding}  {number}", markup=False, highlight=False, soft_wrap=True)
    return 0
