"""The command line: each command parses its options and makes one library call. May import every room."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from millrace import config, logs, names
from millrace.cli import archive, cdc, ingest, sentiment, simulate, sql, store
from millrace.cli.options import Bootstrap, Home, SqlStore, Store
from millrace.cli.tables import grid
from millrace.errors import ConfigError, MillraceError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Live streams through Kafka and Spark Structured Streaming into the stores that people look at.",
)
app.add_typer(ingest.app, name="ingest")
app.add_typer(simulate.app, name="simulate")
app.add_typer(archive.app, name="archive")
app.add_typer(store.app, name="tables")
app.add_typer(cdc.app, name="cdc")
app.add_typer(sentiment.app, name="sentiment")
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(archive.replay)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(sql.sql)
app.command()(store.prune)

LOCAL = "kafka, postgres, mysql, elasticsearch, mongodb, clickhouse, hdfs, connect, registry, ollama"
Servers = Annotated[list[str] | None, typer.Argument(help=LOCAL)]
Stoppable = Annotated[list[str] | None, typer.Argument(help=f"{LOCAL}; superset, which `make superset` started")]


@app.command()
def up(servers: Servers = None, home: Home = None) -> None:
    """Start local servers (default: kafka) on the loopback address, without Docker.

    Example: millrace up kafka postgres mysql
    """
    from millrace import stack

    stack.up(servers or [], config.load(home=home))


@app.command()
def down(
    servers: Stoppable = None,
    home: Home = None,
    data: Annotated[bool, typer.Option("--data", help="Remove what they stored, too")] = False,
) -> None:
    """Stop the local servers (default: all, Superset too) that `millrace up` and `make superset` started.

    Example: millrace down mysql --data
    """
    from millrace import stack
    from millrace.spark.checkpoint.topics import forget

    settings = config.load(home=home)
    for cluster in stack.down(settings, servers, data=data):
        for checkpoint in forget(settings.home, cluster):
            logs.say(f"removed checkpoint {checkpoint.name}, whose records are gone")


@app.command()
def status(home: Home = None) -> None:
    """Show the local servers: pid, port, whether they answer, memory.

    Example: millrace status
    """
    from millrace.stack.table import table

    Console().print(table(config.load(home=home)))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def run(
    context: typer.Context,
    job: Annotated[
        str,
        typer.Argument(help="One of those below"),
    ],
    cores: Annotated[
        int | None, typer.Option(min=1, help="Tasks that Spark runs at once; default: one a core and a partition")
    ] = None,
    memory: Annotated[str, typer.Option(help="Heap of the Spark driver")] = "2g",
) -> None:
    """Run a job under spark-submit, with Java and the Kafka connector found for you; the job's own options follow.

    `millrace run JOB --help` shows those.

    Example: millrace run hashtags --window 5m --slide 1m --sink mysql
    """
    from millrace.spark import launch

    if job in ("-h", "--help"):  # behind a job's name it is the job's
        from millrace.applications.registry import JOBS

        typer.echo(context.get_help())
        Console().print(grid([{"job": job.name, "what it gives": job.help} for job in JOBS.values()], ""))
        raise typer.Exit
    launch.run(job, context.args, cores, memory)


@app.command()
def env() -> None:
    """Print what makes plain spark-submit work in this shell.

    Example: eval "$(millrace env)"; spark-submit --properties-file spark-conf/local.conf jobs/hashtags.py
    """
    from millrace.spark import launch

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
def view(
    store: Store = SqlStore.sqlite,
    port: Annotated[int, typer.Option(min=0, max=65515, help="Where it is taken, the next free one is used")] = 8501,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page where a browser is")] = True,
    home: Home = None,
) -> None:
    """Serve a live page of candles, hashtags, posts, languages, engagement and health on the loopback address.

    Example: millrace view --store mysql
    """
    from millrace.stack.server import free_port
    from millrace.view import server

    chosen = free_port(*range(port, port + server.NEXT))
    if port and chosen != port:
        logs.say(f"port {port} is taken: the page is on {chosen}")
    server.serve(config.load(home=home), store, chosen, browser=browser)


@app.command()
def demo(
    *,
    pipeline: Annotated[
        str, typer.Option(help="bluesky, mastodon, stocks, tweets, sentiment, cdc, or all")
    ] = "bluesky",
    source: Annotated[str, typer.Option(help="live, simulator, or auto: the one that can be reached")] = "auto",
    seconds: Annotated[float | None, typer.Option(min=1, help="End after so many seconds; default Ctrl-C")] = None,
    rate: Annotated[
        float | None,
        typer.Option(min=1, help="Events a second that are simulated; default 200, of trades 60, of others 20"),
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Save the last view as an SVG file")] = None,
    home: Home = None,
) -> None:
    """Start everything and watch posts being counted: Kafka, a feed, the Spark job and a live view.

    Example: millrace demo --pipeline all --source simulator --seconds 90
    """
    from millrace.demo import run as show
    from millrace.demo.pipelines import PIPELINES

    if source not in ("auto", "live", "simulator", pipeline):
        raise ConfigError(f"--source {source!r}: it is live, simulator or auto")
    if pipeline not in PIPELINES:
        raise ConfigError(f"--pipeline {pipeline!r}: it is {' or '.join(PIPELINES)}")
    settings = config.load(home=home)
    code = show.run(settings, PIPELINES[pipeline], source=source, seconds=seconds, rate=rate, picture=picture)
    raise typer.Exit(code)


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
