"""`millrace sentiment`: the labels of posts, and how good they are."""

import typer

from millrace.cli import sentiment_relabel

app = typer.Typer(no_args_is_help=True, help="The sentiment of posts: how good the labels of an engine are.")
app.command()(sentiment_relabel.relabel)
