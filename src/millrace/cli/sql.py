"""`millrace sql`: Spark's SQL prompt over the documents of MongoDB."""

import typer

from millrace import config
from millrace.cli.options import Home


def sql(context: typer.Context, home: Home = None) -> None:
    """Open Spark's SQL prompt: twitter_table is the collection of tweets and case numbers. Its own options follow.

    A statement ends with a semicolon; exit; or Ctrl-D ends the prompt.

    Example: millrace sql -e "SELECT timestamp, tweets, hashtags FROM twitter_table"
    """
    from millrace.sinks.mongodb.sink import check
    from millrace.spark import launch

    settings = config.load(home=home)
    check(settings)  # says in one line what each query would say in a hundred
    launch.prompt(context.args, settings)
