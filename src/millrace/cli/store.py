"""`millrace tables` and `millrace prune`: the tables of a SQL store made, and kept small."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from millrace import config
from millrace.cli.options import Home, SqlStore, Store
from millrace.cli.tables import bar, grid

app = typer.Typer(no_args_is_help=True, help="The tables and views of a SQL store.")


@app.command()
def create(store: Store = SqlStore.sqlite, home: Home = None) -> None:
    """Make every table, index and view that a store does not have yet, and check those that it has.

    Jobs do so by themselves at each start. A table that would lose or merge rows is told, with what mends it.

    Example: millrace tables create --store mysql
    """
    from sqlalchemy import make_url

    from millrace.sinks.sql import database, tables
    from millrace.sinks.sql.views import VIEWS

    url = config.load(home=home).store_url(store)
    tables.create(url)
    made = f"{len(tables.metadata.tables)} tables and {len(VIEWS)} views"
    typer.echo(f"{made} are there: {database.place(make_url(url))}", err=True)


def prune(
    older_than: Annotated[str, typer.Option(help="Age from which rows go, such as 30d or 12h")],
    yes: Annotated[bool, typer.Option("--yes", help="Delete them; without it they are only counted")] = False,
    store: Store = SqlStore.sqlite,
    home: Home = None,
) -> None:
    """Count the windows, gaps and posts that are older than so long and, with --yes, delete them.

    Example: millrace prune --older-than 30d --yes
    """
    from millrace.sinks.sql import database
    from millrace.sinks.sql.prune import moment, prune, stocks

    before = moment(older_than, datetime.now(UTC))
    url = config.load(home=home).store_url(store)
    found = stocks(database.reader(url), before)
    if yes:
        with bar("pruning", sum(stock.old for stock in found), "rows") as advance:
            prune(database.connect(url), before, advance)
        left = {stock.table: stock.rows for stock in stocks(database.reader(url), before)}
        rows = [{"table": each.table, "before": each.rows, "after": left[each.table]} for each in found]
    else:
        rows = [{"table": each.table, "rows": each.rows, "would go": each.old} for each in found]
    Console().print(grid(rows, "no tables yet: `millrace tables create` makes them"))
    if not yes and any(each.old for each in found):
        typer.echo("nothing was deleted: --yes does it", err=True)
