"""`millrace cdc`: change data capture of PostgreSQL."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from millrace import config
from millrace.cli import cdc_verify
from millrace.cli.options import Home
from millrace.cli.tables import grid, line

app = typer.Typer(no_args_is_help=True, help="Change data capture: PostgreSQL through Debezium into Kafka.")
app.command()(cdc_verify.verify)

Tables = Annotated[str | None, typer.Option(help="schema.table[,schema.table]; default: those of before")]
Keys = Annotated[
    list[str] | None, typer.Option("--key", help="schema.table=column[,column] where it has no primary key; repeatable")
]


class Encoding(StrEnum):
    """How records are written."""

    json = "json"
    avro = "avro"


@app.command()
def register(
    *,
    tables: Tables = None,
    key: Keys = None,
    demo: Annotated[bool, typer.Option("--demo", help="Make demo_table1 and demo_table2, and capture them")] = False,
    prefix: Annotated[str | None, typer.Option(help="Of the topics: PREFIX.schema.table; default cdc")] = None,
    encoding: Annotated[Encoding | None, typer.Option(help="Of the records; default that of before, else json")] = None,
    resnapshot: Annotated[
        bool, typer.Option("--resnapshot", help="Read all rows anew, as the next generation")
    ] = False,
    home: Home = None,
) -> None:
    """Make the connector postgres-cdc as it should be, start what failed of it, and return once it runs.

    Run again, it changes nothing. Needs Kafka Connect (`millrace up connect`) and MILLRACE_CDC_SOURCE_URL.

    Example: millrace cdc register --tables public.orders,public.customers
    """
    from millrace.cdc import connector, postgres, register, snapshot

    settings = config.load(home=home)
    named = connector.named(tables) if tables else []
    if demo:
        from millrace.cdc.demo import seed

        seed(postgres.source(settings))
        named = list(dict.fromkeys([*connector.DEMO, *named]))
    avro = None if encoding is None else encoding is Encoding.avro
    wanted = register.Wanted(named, connector.keyed(key or []), prefix, avro)
    with line(connector.NAME) as tell:
        done = register.register(settings, wanted, tell, resnapshot=resnapshot)
        if done.removed:
            tell(f"no longer captured: {', '.join(done.removed)}")
        if done.again:
            rows = "rows that were deleted in between stay in ClickHouse, but for --resnapshot"
            tell(f"captured before: {', '.join(done.again)}; {rows}")
        if done.added:
            tell(f"new: {', '.join(done.added)}")
            snapshot.snapshot(settings, register.worker(settings), done.added, tell)
    pairs = zip(done.tables, done.topics, strict=True)
    Console().print(grid([{"table": table, "topic": topic} for table, topic in pairs], ""))
    typer.echo(f"{connector.NAME}: {done.status}, generation {done.generation}", err=True)


@app.command()
def snapshot(
    tables: Annotated[list[str], typer.Argument(help="schema.table of those that are captured")], home: Home = None
) -> None:
    """Read all rows of tables again, of a new or a repaired one, while the stream of changes goes on.

    Example: millrace cdc snapshot public.orders
    """
    from millrace.cdc import connector, register
    from millrace.cdc.snapshot import snapshot as read

    settings = config.load(home=home)
    named = connector.named(",".join(tables))
    with line("snapshot") as tell:
        rows = read(settings, register.worker(settings), named, tell)
    typer.echo(f"snapshot: {rows} rows of {', '.join(named)}", err=True)


@app.command()
def lag(home: Home = None) -> None:
    """Show how far the connector is behind PostgreSQL, and the job behind the connector; exits 1 when none reads.

    Rows that lack large values are told, too.

    Example: millrace cdc lag
    """
    from millrace.cdc import connector, register, sides, state
    from millrace.cdc.lag import lag as ask

    settings = config.load(home=home)
    found = ask(settings, register.worker(settings))
    Console().print(grid(found.rows(), ""))
    for wrong in state.lacking(sides.target(settings)):
        typer.echo(f"{wrong.what}: `{wrong.mend}`", err=True)
    if not (found.status and found.status.running):
        typer.echo(f"{connector.NAME} does not run: `millrace cdc register` starts it", err=True)
        raise typer.Exit(1)


@app.command()
def unregister(home: Home = None) -> None:
    """Remove the connector, its slot and its publication, so that PostgreSQL keeps no log for it; topics stay.

    Example: millrace cdc unregister
    """
    from millrace.cdc import connector, register

    with line(connector.NAME) as tell:
        register.unregister(config.load(home=home), tell)
    typer.echo(f"{connector.NAME}: connector, slot and publication are gone; its topics stay", err=True)
