"""`millrace archive` and `millrace replay`: the archive looked at, compacted, verified and played back."""

import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from millrace import config
from millrace.cli.options import Bootstrap, Home
from millrace.cli.tables import bar, grid
from millrace.errors import ConfigError
from millrace.signals import signalled

app = typer.Typer(no_args_is_help=True, help="Look into the archive at MILLRACE_ARCHIVE_URL, compact it, verify it.")
Topics = Annotated[list[str] | None, typer.Argument(help="Topics; default all")]
FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]


@app.command("ls")
def list_hours(topics: Topics = None, home: Home = None) -> None:
    """List the hours of the archive: batches, files, rows, bytes.

    Example: millrace archive ls bluesky-raw-posts
    """
    from millrace.archive import census, files

    archive = files.of(config.load(home=home))
    rows = [vars(hour) for hour in census.hours(archive, topics or [])]
    Console().print(grid(rows, f"{archive.url} is empty: `millrace run archive` fills it"))


@app.command()
def compact(topics: Topics = None, home: Home = None) -> None:
    """Make the many files of each closed hour few, and count their rows before anything is removed.

    Example: millrace archive compact
    """
    from millrace.archive import compact, files

    archive = files.of(config.load(home=home))
    total = sum(work.rows for work in compact.due(archive, topics or []))
    with bar("compacting", total, "rows") as advance:
        done = compact.compact(archive, topics or [], advance=advance)
    Console().print(grid([vars(hour) for hour in done], "no closed hour of more than one file"))


@app.command()
def verify(topics: Topics = None, home: Home = None) -> None:
    """Read every file and tell what is missing, damaged, there twice or left over; exits 1 when records are concerned.

    Example: millrace archive verify
    """
    from millrace.archive import census, files

    archive = files.of(config.load(home=home))
    with bar("verifying", census.size(archive, topics or []), "bytes") as advance:
        faults = census.verify(archive, topics or [], advance)
    Console().print(grid([fault.row() for fault in faults], f"{archive.url} is whole"))
    raise typer.Exit(int(any(fault.serious for fault in faults)))


def replay(
    context: typer.Context,
    topic: Annotated[str | None, typer.Argument(help="Topic, as the archive names it")] = None,
    *,
    job: Annotated[
        str | None,
        typer.Option(help="Run a job over the archive, as `millrace run JOB --from-archive`; its options follow"),
    ] = None,
    from_archive: Annotated[bool, typer.Option("--from-archive", help="What --job reads in any case")] = False,
    into: Annotated[str | None, typer.Option("--into", help="Topic to write; default TOPIC-replay")] = None,
    speed: Annotated[float, typer.Option(min=0, help="1: as it was, 10: ten times as fast, 0: at once")] = 0.0,
    start: Annotated[datetime | None, typer.Option("--from", formats=FORMATS, help="First time (UTC)")] = None,
    end: Annotated[datetime | None, typer.Option("--to", formats=FORMATS, help="Time after the last (UTC)")] = None,
    bootstrap: Bootstrap = None,
    home: Home = None,
) -> None:
    """Write archived records into Kafka again, with their keys, headers, times and partitions; or run a job over them.

    Example: millrace replay bluesky-raw-posts --from 2026-11-22T20:00 --to 2026-11-22T21:00 --speed 60
    """
    from millrace.archive import files, replay

    rest = [*([topic] if topic else []), *context.args]
    if job:
        _run(job, rest, {"--into": into, "--speed": speed, "--from": start, "--to": end}, bootstrap, home)
    if from_archive:
        raise ConfigError("--from-archive is for a job: name it, as in --job hashtags")
    if topic is None or topic.startswith("-") or context.args:
        raise ConfigError(
            f"replay takes one topic, or --job, not {' '.join(rest) or 'nothing'}: millrace replay --help"
        )
    settings = config.load(home=home, kafka_bootstrap=bootstrap)
    archive, span = files.of(settings), replay.span(start, end)
    if into == topic:
        raise ConfigError(f"--into {topic}: that topic would hold everything twice; name another")
    stop = threading.Event()
    with signalled(stop), bar("replaying", replay.rows(archive, topic, span), "records") as advance:
        sent = replay.replay(
            archive, topic, settings.kafka_bootstrap, into, span=span, speed=speed, advance=advance, stop=stop
        )
    typer.echo(f"{sent} records into {into or topic + replay.SUFFIX}", err=True)


def _run(
    job: str, rest: list[str], refused: Mapping[str, object], bootstrap: str | None, home: Path | None
) -> NoReturn:
    """Become `millrace run JOB --from-archive` with the options that were meant for the job."""
    from millrace.spark import launch

    if wrong := [name for name, value in refused.items() if value]:
        raise ConfigError(
            f"{' and '.join(wrong)}: for records that go into Kafka again; a job reads the whole archive at once"
        )
    shared = {"--bootstrap": bootstrap, "--home": home}
    given = [word for name, value in shared.items() if value for word in (name, str(value))]
    launch.run(job, ["--from-archive", *given, *rest])
