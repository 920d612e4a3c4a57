"""`millrace archive` and `millrace replay`: the archive looked at, compacted, verified and played back."""

from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console

from millrace import config
from millrace.cli.options import Bootstrap, Home
from millrace.cli.tables import bar, grid
from millrace.errors import ConfigError

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
    Console().print(grid([vars(hour) for hour in done], "no closed hour with more than one batch"))


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
    topic: Annotated[str, typer.Argument(help="Topic, as the archive names it")],
    *,
    into: Annotated[str | None, typer.Option("--into", help="Topic to write; default TOPIC-replay")] = None,
    speed: Annotated[float, typer.Option(min=0, help="1: as it was, 10: ten times as fast, 0: at once")] = 0.0,
    start: Annotated[datetime | None, typer.Option("--from", formats=FORMATS, help="First time (UTC)")] = None,
    end: Annotated[datetime | None, typer.Option("--to", formats=FORMATS, help="Time after the last (UTC)")] = None,
    bootstrap: Bootstrap = None,
    home: Home = None,
) -> None:
    """Write archived records into Kafka again, with their keys, headers, times and partitions.

    Example: millrace replay bluesky-raw-posts --from 2026-11-22T20:00 --to 2026-11-22T21:00 --speed 60
    """
    from millrace.archive import files, replay

    settings = config.load(home=home, kafka_bootstrap=bootstrap)
    archive, span = files.of(settings), replay.span(start, end)
    if into == topic:
        raise ConfigError(f"--into {topic}: that topic would hold everything twice; name another")
    with bar("replaying", replay.rows(archive, topic, span), "records") as advance:
        sent = replay.replay(archive, topic, settings.kafka_bootstrap, into, span=span, speed=speed, advance=advance)
    typer.echo(f"{sent} records into {into or topic + replay.SUFFIX}", err=True)
