"""The command line: each command parses its options and makes one library call."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from millrace import config, names
from millrace.errors import ConfigError, MillraceError
from millrace.logs import escape

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Live streams through Kafka and Spark Structured Streaming into the stores that people look at.",
)
ingest_app = typer.Typer(
    no_args_is_help=True, help="Carry a live feed into Kafka, exactly once where the feed can replay."
)
simulate_app = typer.Typer(
    no_args_is_help=True,
    help="Serve a double of a feed that speaks its wire protocol and knows the right answer.",
)
app.add_typer(ingest_app, name="ingest")
app.add_typer(simulate_app, name="simulate")

Home = Annotated[Path | None, typer.Option(help="Folder of all state; default MILLRACE_HOME, else .millrace")]
Bootstrap = Annotated[str | None, typer.Option(help="Kafka brokers, host:port[,host:port]")]
Servers = Annotated[list[str] | None, typer.Argument(help="kafka, postgres, mysql")]


@app.command()
def up(servers: Servers = None, home: Home = None) -> None:
    """Start local servers (default: kafka) on the loopback address, without Docker.

    Example: millrace up kafka postgres mysql
    """
    from millrace import stack

    stack.up(servers or [], config.load(home=home))


@app.command()
def down(
    servers: Servers = None,
    home: Home = None,
    data: Annotated[bool, typer.Option("--data", help="Remove what they stored, too")] = False,
) -> None:
    """Stop the local servers (default: all) that `millrace up` started.

    Example: millrace down mysql --data
    """
    from millrace import stack

    stack.down(config.load(home=home), servers, data=data)


@app.command()
def status(home: Home = None) -> None:
    """Show the local servers: pid, port, whether they answer, memory.

    Example: millrace status
    """
    from millrace.stack.table import table

    Console().print(table(config.load(home=home)))


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
    start: Annotated[str | None, typer.Option(help="Time of the first event; default about now")] = None,
    speed: Annotated[float, typer.Option(help="Event seconds per second; 0: at once")] = 1.0,
    tagged: Annotated[float, typer.Option(help="Fraction of posts with hashtags")] = 0.3,
    duplicates: Annotated[float, typer.Option(help="Fraction of frames sent once or twice more")] = 0.0,
    shuffle: Annotated[float, typer.Option(help="Seconds by which event times step back")] = 0.03,
    late: Annotated[float, typer.Option(help="Fraction of posts 30 to 60 minutes before the start")] = 0.0,
    malformed: Annotated[float, typer.Option(help="Fraction of frames that are broken")] = 0.0,
    future_dated: Annotated[float, typer.Option(help="Fraction of posts that claim 2036 or 1970")] = 0.0,
    drop_every: Annotated[int | None, typer.Option(help="Close a connection after N frames on it")] = None,
    silent_after: Annotated[int | None, typer.Option(help="Once, after N frames in all, fall silent")] = None,
    time_cursors: Annotated[bool, typer.Option("--time-cursors", help="No sequence in v1 frames")] = False,
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


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def run(
    context: typer.Context,
    job: Annotated[
        str, typer.Argument(help="hashtags, engagement, languages, authors, counts, dashboard, filtered, quarantine")
    ],
    cores: Annotated[
        int | None, typer.Option(min=1, help="Tasks that Spark runs at once; default: one a core and a partition")
    ] = None,
    memory: Annotated[str, typer.Option(help="Heap of the Spark driver")] = "2g",
) -> None:
    """Run a job under spark-submit, with Java and the Kafka connector found for you; the job's own options follow.

    Example: millrace run hashtags --window 5m --slide 1m --sink mysql
    """
    from millrace import launch

    launch.run(job, context.args, cores, memory)


@app.command()
def env() -> None:
    """Print what makes plain spark-submit work in this shell.

    Example: eval "$(millrace env)"; spark-submit --properties-file spark-conf/local.conf jobs/hashtags.py
    """
    from millrace import launch

    typer.echo(launch.exports())


@app.command()
def topics(bootstrap: Bootstrap = None, home: Home = None) -> None:
    """List the topics: partitions, records, key and schema.

    Example: millrace topics
    """
    from millrace.kafka import browse

    rows = browse.overview(config.load(home=home, kafka_bootstrap=bootstrap).kafka_bootstrap)
    Console().print(grid(rows, "no topics yet: `millrace ingest bluesky` makes them"))


@app.command()
def peek(
    topic: Annotated[str, typer.Argument(help="Name of the topic")],
    count: Annotated[int, typer.Option("-n", min=1, help="How many records")] = 5,
    bootstrap: Bootstrap = None,
    home: Home = None,
) -> None:
    """Print the newest records of a topic as JSON lines.

    Example: millrace peek bluesky-raw-posts -n 3
    """
    from millrace.kafka import browse

    settings = config.load(home=home, kafka_bootstrap=bootstrap)
    for record in browse.newest(settings.kafka_bootstrap, names.topic_name(topic), count):
        typer.echo(json.dumps(browse.as_json(record), ensure_ascii=False))


@app.command("dead-letters")
def dead_letters(
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines with the head of each value")] = False,
    bootstrap: Bootstrap = None,
    home: Home = None,
) -> None:
    """Show the records that could not be read, where they lie and why.

    Example: millrace dead-letters --json
    """
    from millrace.kafka import browse

    letters = browse.dead_letters(config.load(home=home, kafka_bootstrap=bootstrap).kafka_bootstrap)
    if as_json:
        for letter in letters:
            typer.echo(json.dumps(letter))
    else:
        shown = ("time", "topic", "partition", "offset", "size", "reason")
        Console().print(grid([{key: letter.get(key) for key in shown} for letter in letters], "no dead letters"))


@app.command()
def doctor(home: Home = None) -> None:
    """Check settings, servers, topics, checkpoints and versions, and say what to do; exits 1 when something is wrong.

    Example: millrace doctor
    """
    from millrace.doctor import examine

    findings = examine(home)
    Console().print(grid([finding.row() for finding in findings], ""))
    raise typer.Exit(int(any(not finding.good for finding in findings)))


@app.command()
def demo(
    source: Annotated[str, typer.Option(help="bluesky, simulator, or auto: the one that can be reached")] = "auto",
    seconds: Annotated[float | None, typer.Option(min=1, help="End after so many seconds; default Ctrl-C")] = None,
    rate: Annotated[float, typer.Option(min=1, help="Events a second of the simulator")] = 200.0,
    picture: Annotated[Path | None, typer.Option(help="Save the last view as an SVG file")] = None,
    home: Home = None,
) -> None:
    """Start everything and watch hashtags being counted: Kafka, a feed, the Spark job and a live view.

    Example: millrace demo --source simulator --seconds 90
    """
    from millrace import demo as show

    if source not in ("auto", "bluesky", "simulator"):
        raise ConfigError(f"--source {source!r}: it is bluesky, simulator or auto")
    raise typer.Exit(show.run(config.load(home=home), source, seconds, rate, picture))


def grid(rows: list[dict[str, Any]], empty: str) -> Table | str:
    """Lay rows out as a table; `empty` where there are none. Control characters are spelled out."""
    if not rows:
        return empty
    table = Table()
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(escape("" if value is None else str(value))) for value in row.values()))
    return table


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
