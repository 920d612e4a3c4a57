"""The command line: each command parses its options and makes one library call."""

import sys

import typer
from rich.console import Console

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
