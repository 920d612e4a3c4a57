"""`millrace sentiment relabel`: labels for rows that have none, once the reason is gone."""

from typing import Annotated

import typer

from millrace import config, logs
from millrace.cli.options import Home
from millrace.cli.sentiment_options import BaseUrl, Concurrency, Engine, Model, Timeout, seconds
from millrace.cli.tables import bar
from millrace.errors import ConfigError


def relabel(
    *,
    errors: Annotated[bool, typer.Option("--errors", help="Rows that have no label though they have a text")] = False,
    source: Annotated[str, typer.Option(help="Whose rows: those of the table SOURCE_sentiment")] = "mastodon",
    engine: Engine = "vader",
    model: Model = None,
    base_url: BaseUrl = None,
    concurrency: Concurrency = 8,
    timeout: Timeout = "30s",
    home: Home = None,
) -> None:
    """Ask again about the posts in ClickHouse that have no label, also while the job runs, and replace their rows.

    A row that again gets no label stays as it is. Tells how many had none, have one now and still have none, and why.

    Example: millrace sentiment relabel --errors --source mastodon --engine ollama --model deepseek-r1:1.5b
    """
    from millrace.kafka.results import SENTIMENT
    from millrace.sentiment.choice import choice
    from millrace.sentiment.labelling import Labelling
    from millrace.sentiment.relabel import relabel as again
    from millrace.sentiment.relabel import without_label

    if not errors:
        raise ConfigError("which rows? --errors: those that have no label")
    if source not in SENTIMENT:
        raise ConfigError(f"--source {source}: there are {', '.join(SENTIMENT)}")
    settings, result = config.load(home=home), SENTIMENT[source]
    spec = choice(settings, engine, model, base_url, concurrency=concurrency, timeout=seconds(timeout))
    waiting = without_label(settings.clickhouse, result)
    with bar(result.name, waiting, "posts") as advance:
        found = again(settings.clickhouse, result, Labelling(spec, settings.clickhouse), advance)
    logs.say(f"{result.name}: {found.text}")
