"""`make demo`: a broker, a feed, the hashtag job and a live view, started together and stopped together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import websocket
from rich.cells import cell_len
from rich.console import Console
from rich.live import Live

from millrace import stack
from millrace.config import Settings
from millrace.errors import MillraceError
from millrace.logs import escape
from millrace.screen import Store, render, save

out = Console()
say = Console(stderr=True, highlight=False)
STOP_WITHIN = 45.0  # seconds for a process to end after SIGTERM
CATCH_UP = 20.0  # seconds at the end for the job to read what the feed still sent


def run(
    settings: Settings,
    source: str = "auto",
    seconds: float | None = None,
    rate: float = 200,
    picture: Path | None = None,
) -> int:
    """Show live hashtag counts until Ctrl-C or for `seconds`; returns 0, or 1 if nothing was counted.

    `source`: bluesky (the live service), simulator, or auto (the live service, else the simulator at `rate` events/s).
    `picture`: an SVG file for the last view.
    """
    began = datetime.now(UTC)
    with ExitStack() as running:
        running.enter_context(_servers(settings))
        url, feed = _feed(source, settings, rate, running)
        ingest = running.enter_context(_process(settings, "ingest", "ingest", "bluesky", "--url", url))
        job = running.enter_context(_process(settings, "hashtags", "run", "hashtags", "--trigger", "1s"))
        store = Store(Path(settings.sqlite.removeprefix("sqlite:///")), settings.home / "run" / "hashtags.json")
        since = began.strftime("%Y-%m-%dT%H:%M:00.000Z")
        _watch(store, since, feed, seconds, [ingest, job])
        _catch_up(store, ingest)
    if picture:
        save(picture, render(store, since, feed, "nothing was counted"))
    return _report(store, since, feed)


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


def _feed(source: str, settings: Settings, rate: float, running: ExitStack) -> tuple[str, str]:
    if source != "simulator":
        if reason := _unreachable(settings.bluesky_url.split(",")):
            if source == "bluesky":
                raise MillraceError(f"Bluesky's Jetstream cannot be reached: {reason}")
            say.print(f"Bluesky's Jetstream cannot be reached ({reason}): the built-in simulator feeds the demo")
        else:
            return settings.bluesky_url, "Bluesky"
    log = settings.home / "logs" / "simulator.log"
    seed = str(int(time.time()))  # another run's posts would be dropped as repeated
    options = (
        "--port",
        "0",
        "--rate",
        str(rate),
        "--seed",
        seed,
        "--duplicates",
        "0.02",
        "--malformed",
        "0.005",
    )
    running.enter_context(_process(settings, "simulator", "simulate", "bluesky", *options))
    return _wait_for_url(log), "simulated Bluesky"


def _unreachable(hosts: list[str]) -> str:
    """Return why none of the hosts answers, "" if one does."""
    reason = "no host"
    for host in hosts[:2]:
        url = host.strip().rstrip("/")
        try:
            websocket.create_connection(url if url.count("/") > 2 else url + "/subscribe", timeout=4).close()
            return ""
        except (OSError, websocket.WebSocketException) as error:
            reason = type(error).__name__ if not str(error) else str(error).splitlines()[0]
    return reason


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
    store: Store, since: str, feed: str, seconds: float | None, processes: list[subprocess.Popen[bytes]]
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
                    live.update(render(store, since, feed, waiting), refresh=True)
                elif first and store.windows(since, 1):
                    say.print(f"first hashtags counted {datetime.now(UTC):%H:%M:%S} UTC")
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


def _report(store: Store, since: str, feed: str) -> int:
    top = store.top(since, 20)
    if not top:
        say.print(f"nothing was counted: see {store.run_file.parent.parent / 'logs'}", style="red")
        return 1
    progress = store.progress()
    say.print(f"top hashtags on {feed} since {since[11:16]} UTC ({progress.get('records', 0):,} posts read):")
    width = max(cell_len(hashtag) for hashtag, *_ in top)
    for hashtag, posts, *_ in top:
        padding = " " * (width - cell_len(hashtag))  # of cells: some scripts take two a character
        out.print(f"#{escape(hashtag)}{padding}  {posts}", markup=False, highlight=False, soft_wrap=True)
    return 0
