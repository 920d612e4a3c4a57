"""The command line: each command parses its options and makes one library call."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from millrace import config
from millrace.errors import ConfigError, MillraceError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Live streams through Kafka and Spark Structured Streaming into the stores that people look at.",
)
ingest_app = typer.Typer(no_args_is_help=True, help="Carry a live feed into Kafka, exactly once where the feed can replay.")
simulate_app = typer.Typer(no_args_is_help=True, help="Serve a double of a feed that speaks its wire protocol and knows the right answer.")
app.add_typer(ingest_app, name="ingest")
app.add_typer(simulate_app, name="simulate")

Home = Annotated[Path | None, typer.Option(help="Folder of all state; default MILLRACE_HOME, else .millrace")]
Servers = Annotated[list[str] | None, typer.Argument(help="kafka, postgres, mysql")]


@app.command()
def up(names: Servers = None, home: Home = None) -> None:
    """Start local servers (default: kafka) on the loopback address, without Docker.

    Example: millrace up kafka postgres mysql
    """
    from millrace import stack

    stack.up(names or [], config.load(home=home))


@app.command()
def down(
    names: Servers = None,
    home: Home = None,
    data: Annotated[bool, typer.Option("--data", help="Remove what they stored, too")] = False,
) -> None:
    """Stop the local servers (default: all) that `millrace up` started.

    Example: millrace down mysql --data
    """
    from millrace import stack

    stack.down(config.load(home=home), names, data=data)


@app.command()
def status(home: Home = None) -> None:
    """Show the local servers: pid, port, whether they answer, memory.

    Example: millrace status
    """
    from millrace import stack

    Console().print(stack.table(config.load(home=home)))


@ingest_app.command("bluesky")
def ingest_bluesky(
    *,
    url: Annotated[str | None, typer.Option(help="Jetstream hosts, by commas; v2 by its whole path")] = None,
    collections: Annotated[list[str] | None, typer.Option(help="What the server sends; default posts")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="End after so many events")] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="End after so many seconds")] = None,
    from_cursor: Annotated[int | None, typer.Option(help="Begin here: sequence number or microseconds")] = None,
    keep_raw: Annotated[bool, typer.Option("--keep-raw", help="Add the frame itself as `raw`")] = False,
    printing: Annotated[bool, typer.Option("--print", help="Posts as JSON lines, without Kafka")] = False,
    watchdog: Annotated[float, typer.Option(min=1, help="Seconds of silence until it connects anew")] = 60.0,
    metrics_port: Annotated[int | None, typer.Option(help="Serve Prometheus metrics on this port")] = None,
    bootstrap: Annotated[str | None, typer.Option(help="Kafka brokers, host:port[,host:port]")] = None,
    home: Home = None,
) -> None:
    """Carry the posts of Bluesky into the topic bluesky-raw-posts until Ctrl-C.

    Example: millrace ingest bluesky --limit 1000
    """
    from millrace.ingest import command
    from millrace.ingest.run import Options

    command.bluesky(
        config.load(home=home, bluesky_url=url, kafka_bootstrap=bootstrap),
        Options(limit=limit, seconds=seconds, watchdog=watchdog, metrics_port=metrics_port),
        collections=collections,
        from_cursor=from_cursor,
        keep_raw=keep_raw,
        printing=printing,
    )


@simulate_app.command("bluesky")
def simulate_bluesky(
    *,
    port: Annotated[int, typer.Option(help="Port on the loopback address; 0: any free one")] = 6008,
    rate: Annotated[float, typer.Option(help="Events per second of event time")] = 50.0,
    seed: Annotated[int, typer.Option(help="Same options, same seed and start: same frames")] = 1,
    count: Annotated[int | None, typer.Option(help="Events in all; default endless")] = None,
    truth: Annotated[Path | None, typer.Option(help="Write the right answer here, JSON lines")] = None,
    start: Annotated[str | None, typer.Option(help="Time of the first event, ISO 8601; else about now")] = None,
    speed: Annotated[float, typer.Option(help="Event seconds per second; 0: at once")] = 1.0,
    tagged: Annotated[float, typer.Option(help="Fraction of posts with hashtags")] = 0.3,
    duplicates: Annotated[float, typer.Option(help="Fraction of frames sent once or twice more")] = 0.0,
    shuffle: Annotated[float, typer.Option(help="Seconds by which event times step back")] = 0.03,
    late: Annotated[float, typer.Option(help="Fraction of posts 30 to 60 minutes before the start")] = 0.0,
    malformed: Annotated[float, typer.Option(help="Fraction of frames that are broken")] = 0.0,
    future_dated: Annotated[float, typer.Option(help="Fraction of posts that claim 2036 or 1970")] = 0.0,
    drop_every: Annotated[int | None, typer.Option(help="Close a connection after N frames on it")] = None,
    silent_after: Annotated[int | None, typer.Option(help="Once, after N frames in all, fall silent")] = None,
    time_cursors: Annotated[bool, typer.Option("--time-cursors", help="No sequence numbers in v1 frames")] = False,
    lookback: Annotated[float, typer.Option(help="Hours that a cursor may reach back")] = 36.0,
) -> None:
    """Serve a double of Bluesky's Jetstream (v1 /subscribe and v2) until Ctrl-C, and say what is right.

    Example: millrace simulate bluesky --count 10000 --speed 0 --duplicates 0.1 --truth truth.jsonl
    """
    from millrace.simulate import bluesky
    from millrace.simulate.scenario import Scenario, instant

    scenario = Scenario(
        seed=seed,
        rate=rate,
        count=count,
        start=instant(start) if start else None,
        speed=speed,
        tagged=tagged,
        duplicates=duplicates,
        shuffle=shuffle,
        late=late,
        malformed=malformed,
        future_dated=future_dated,
        drop_every=drop_every,
        silent_after=silent_after,
        sequence=not time_cursors,
        lookback=lookback,
    )
    bluesky.serve(scenario, port=port, truth=truth)


def main() -> None:
    """Run the command line. Exit codes: 0 finished, 1 failed, 2 configuration."""
    try:
        app()
    except ConfigError as error:
        _fail(error, 2)
    except MillraceError as error:
        _fail(error, 1)


def _fail(error: Exception, code: int) -> None:
    Console(stderr=True).print(f"millrace: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(code)
