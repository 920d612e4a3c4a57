"""`millrace cdc verify`: whether ClickHouse has what PostgreSQL has."""

from typing import Annotated

import typer
from rich.console import Console

from millrace import config, durations, logs
from millrace.cli.options import Home
from millrace.cli.tables import bar, grid
from millrace.errors import ConfigError

Tables = Annotated[str, typer.Option(help="schema.table[,schema.table], as the job has them")]
Keys = Annotated[list[str] | None, typer.Option("--key", help="As the job has it: schema.table=column[,column]")]
AsText = Annotated[list[str] | None, typer.Option("--as-text", help="As the job has it: schema.table.column")]
Without = Annotated[list[str] | None, typer.Option("--without", help="As the job has it: schema.table.column")]


def verify(
    *,
    tables: Tables,
    key: Keys = None,
    as_text: AsText = None,
    without: Without = None,
    limit: Annotated[int, typer.Option(min=0, help="Differences of each table that are listed")] = 20,
    wait: Annotated[
        str, typer.Option(help="How long ClickHouse may take to have what is compared; 0: as it is")
    ] = "60s",
    prefix: Annotated[str, typer.Option(help="Of the topics, PREFIX.schema.table")] = "cdc",
    slot: Annotated[str, typer.Option(help="The connector's replication slot")] = "millrace_cdc",
    home: Home = None,
) -> None:
    """Compare every row and value of tables in PostgreSQL with those in ClickHouse, also while the job runs.

    Lists the keys that differ and exits 1 when there are any. Keys that change all the time are told apart.

    Example: millrace cdc verify --tables public.orders,public.customers
    """
    from millrace.cdc.verify import verify as compare

    try:
        seconds = 0.0 if wait == "0" else durations.seconds(wait)
    except ValueError as error:
        raise ConfigError(f"--wait: {error}") from None
    settings = config.load(home=home)
    choice = compare.choice(tables, key or [], as_text or [], without or [])
    say = logs.say
    found = compare.verify(settings, choice, compare.Way(prefix, slot, seconds), limit=limit, bar=bar, tell=say)
    Console().print(grid([table.row() for table in found.tables], ""))
    if lines := [line for table in found.tables for line in table.lines()]:
        Console().print(grid(lines, ""))
    say(found.text)
    raise typer.Exit(int(not found.equal))
