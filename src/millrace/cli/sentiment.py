"""`millrace sentiment`: the labels of posts, and how good they are."""

import json
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from millrace import config
from millrace.cli import sentiment_relabel, sentiment_tables
from millrace.cli.options import Home
from millrace.cli.sentiment_options import BaseUrl, Concurrency, Engine, Model, Timeout, seconds
from millrace.cli.tables import bar
from millrace.errors import Unavailable

if TYPE_CHECKING:
    from millrace.sentiment.labels import Labeller, Outcome, Text

app = typer.Typer(no_args_is_help=True, help="The sentiment of posts: how good the labels of an engine are.")
app.command()(sentiment_relabel.relabel)


@app.command("eval")
def evaluate(
    file: Annotated[Path, typer.Argument(help="CSV with the columns text, label, and perhaps language and kind")],
    *,
    engine: Engine = "vader",
    model: Model = None,
    base_url: BaseUrl = None,
    concurrency: Concurrency = 8,
    timeout: Timeout = "30s",
    injections: Annotated[
        Path | None,
        typer.Option(help="CSV with the column clean, too: posts that give orders, each beside itself without them"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object")] = False,
    home: Home = None,
) -> None:
    """Measure an engine on posts whose label is known: accuracy, macro-F1, confusion, by language and kind, speed.

    A post that gets no label counts as wrong, and is counted apart with its reason. Exits 1 when none gets one.

    Example: millrace sentiment eval posts.csv --engine ollama --model deepseek-r1:1.5b
    """
    from millrace.sentiment import evaluate as compare
    from millrace.sentiment.choice import choice
    from millrace.sentiment.engine import labeller
    from millrace.sentiment.labelled import read
    from millrace.sentiment.labels import Text

    limit = seconds(timeout)
    posts = read(file)
    hostile = read(injections, twins=True) if injections else []
    asked = choice(config.load(home=home), engine, model, base_url, concurrency=concurrency, timeout=limit)
    labels = labeller(asked)
    begun = perf_counter()
    outcomes = _labelled(labels, [Text(post.text, post.language) for post in posts])
    found = compare.evaluate(posts, outcomes, perf_counter() - begun)
    resistance = None
    if hostile:
        texts = [Text(text, post.language) for post in hostile for text in (post.text, post.clean or "")]
        both = _labelled(labels, texts)
        resistance = compare.resist(hostile, both[::2], both[1::2])
    told = {"engine": engine, "model": labels.model, "prompt_version": labels.prompt_version}
    if as_json:
        speed = {"posts_per_second": found.posts_per_second, "tokens_per_second": found.tokens_per_second}
        withstood = resistance and asdict(resistance) | {"flip_rate": resistance.flip_rate}
        typer.echo(json.dumps(told | asdict(found) | speed | {"injections": withstood}, ensure_ascii=False))
    else:
        for table in sentiment_tables.tables(told, found, resistance):
            Console().print(table)
    if found.overall.unlabelled == found.overall.posts:
        raise Unavailable(f"no post got a label: {outcomes[0].error}")


def _labelled(labels: "Labeller", texts: list["Text"]) -> list["Outcome"]:
    with bar("labelling", len(texts), "posts") as advance:
        return labels.label(texts, told=lambda *_: advance(1))
