"""`millrace cdc`: change data capture of PostgreSQL."""

import typer

from millrace.cli import cdc_verify

app = typer.Typer(no_args_is_help=True, help="Change data capture: PostgreSQL through Debezium into Kafka.")
app.command()(cdc_verify.verify)


@app.callback()
def _() -> None:
    """Keep `verify` a command of its own, though it is the only one."""
