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
