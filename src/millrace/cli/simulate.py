"""`millrace simulate`: a command for each double. Its options are the fields of the scenario, by name."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from millrace import durations
from millrace.cli.options import Command, Home, sharing
from millrace.errors import ConfigError
from millrace.simulate.scenario import instant

app = typer.Typer(
    no_args_is_help=True,
    help="Serve a double of a feed that speaks its wire protocol and knows the right answer.",
)


def _fraction(what: str) -> Any:
    return typer.Option(help=f"Fraction of {what}")


Tagged = Annotated[float, _fraction("posts with hashtags")]


def _seconds(text: str) -> float:
    """Return the seconds of a duration, which may be as short as milliseconds."""
    try:
        return float(text.removesuffix("ms")) / 1000 if text.endswith("ms") else durations.seconds(text)
    except ValueError as error:
        raise ConfigError(f"--latency: {error}") from None


def _double(port: int, rate: float) -> Callable[[Command], Command]:
    """Give a command the options that every double has."""
    return sharing(
        port=(Annotated[int, typer.Option(help="Port on the loopback address; 0: any free one")], port),
        rate=(Annotated[float, typer.Option(help="Events or posts per second of event time")], rate),
        seed=(Annotated[int, typer.Option(help="Same options, same seed and start: the same again")], 1),
        count=(Annotated[int | None, typer.Option(help="Events or posts in all; default endless")], None),
        truth=(Annotated[Path | None, typer.Option(help="Write the right answer here, JSON lines")], None),
        start=(Annotated[str | None, typer.Option(help="Time of the first one; default about now")], None),
        speed=(Annotated[float, typer.Option(help="Event seconds per second; 0: at once")], 1.0),
        drop_every=(Annotated[int | None, typer.Option(help="Close a connection after N frames on it")], None),
        silent_after=(Annotated[int | None, typer.Option(help="Once, after N frames in all, fall silent")], None),
    )


def _values(options: dict[str, Any]) -> tuple[dict[str, Any], int, Path | None]:
    """Return the fields of a scenario among a command's options, the port, and the file of the truth."""
    rest = {**options, **options["shared"]}
    del rest["shared"]
    rest["start"] = instant(rest["start"]) if rest["start"] else None
    return rest, rest.pop("port"), rest.pop("truth")


@app.command("bluesky")
@_double(6008, 50.0)
def bluesky(
    *,
    tagged: Tagged = 0.3,
    duplicates: Annotated[float, _fraction("frames sent once or twice more")] = 0.0,
    shuffle: Annotated[float, typer.Option(help="Seconds by which event times step back")] = 0.03,
    late: Annotated[float, _fraction("posts 30 to 60 minutes before the start")] = 0.0,
    malformed: Annotated[float, _fraction("frames that are broken")] = 0.0,
    future_dated: Annotated[float, _fraction("posts that claim 2036 or 1970")] = 0.0,
    time_cursors: Annotated[bool, typer.Option("--time-cursors", help="No sequence in v1 frames")] = False,
    lookback: Annotated[float, typer.Option(help="Hours that a cursor may reach back")] = 36.0,
    **shared: Any,
) -> None:
    """Serve a double of Bluesky's Jetstream (v1 /subscribe and v2) until Ctrl-C, and say what is right.

    Example: millrace simulate bluesky --count 10000 --speed 0 --duplicates 0.1 --truth truth.jsonl
    """
    values, port, truth = _values(locals())
    from millrace.simulate import bluesky
    from millrace.simulate.scenario import Scenario

    sequence = not values.pop("time_cursors")
    bluesky.serve(Scenario(**values, sequence=sequence), port=port, truth=truth)


@app.command("mastodon")
@_double(6009, 2.0)
def mastodon(
    *,
    tagged: Tagged = 0.3,
    edited: Annotated[float, _fraction("posts that are edited")] = 0.05,
    deleted: Annotated[float, _fraction("posts that are deleted")] = 0.0,
    delayed: Annotated[float, _fraction("posts that appear later, with older ids")] = 0.05,
    malformed: Annotated[float, _fraction("posts that are broken")] = 0.0,
    duplicates: Annotated[float, _fraction("statuses that come twice")] = 0.0,
    settled: Annotated[float | None, typer.Option(help="Age in seconds at which counters jump to their end")] = None,
    reorder: Annotated[bool, typer.Option("--reorder", help="Pages in any order")] = False,
    site: Annotated[int, typer.Option(min=0, help="Number of the instance: the same posts, other ids")] = 0,
    limit: Annotated[int, typer.Option(help="Calls that are allowed in a period")] = 300,
    period: Annotated[float, typer.Option(help="Seconds of a period")] = 300.0,
    too_many: Annotated[float, _fraction("calls answered with 429")] = 0.0,
    broken_answers: Annotated[float, _fraction("calls answered with 500")] = 0.0,
    unauthorized: Annotated[float, _fraction("calls answered with 401")] = 0.0,
    empty: Annotated[float, _fraction("pages that are empty lists")] = 0.0,
    stalled: Annotated[float, _fraction("calls that get no answer")] = 0.0,
    closed: Annotated[bool, typer.Option("--closed", help="The feeds are closed")] = False,
    **shared: Any,
) -> None:
    """Serve a double of a Mastodon instance until Ctrl-C, and say what is right.

    Example: millrace simulate mastodon --rate 5 --count 1000 --truth truth.jsonl
    """
    values, port, truth = _values(locals())
    from millrace.simulate import mastodon
    from millrace.simulate.community import Community

    mastodon.serve(Community(**values), port, truth)


@app.command("finnhub")
@_double(6010, 20.0)
def finnhub(
    symbols: Annotated[list[str] | None, typer.Argument(help="What is traded; default nine well-known symbols")] = None,
    *,
    shuffle: Annotated[float, typer.Option(help="Seconds by which times step back")] = 0.05,
    zero_volume: Annotated[float, _fraction("trades that only update the price")] = 0.05,
    conditions: Annotated[float, _fraction("trades with condition codes")] = 0.5,
    bursts: Annotated[float, _fraction("messages that hold many trades")] = 0.0,
    malformed: Annotated[float, _fraction("trades that are broken")] = 0.0,
    token: Annotated[str, typer.Option(help="The key that is accepted")] = "demo",
    max_symbols: Annotated[int, typer.Option(min=1, help="Symbols that a connection may follow")] = 50,
    ping_every: Annotated[float, typer.Option(min=0.01, help="Seconds between pings")] = 60.0,
    **shared: Any,
) -> None:
    """Serve a double of Finnhub until Ctrl-C, and say what is right. The market opens with the first subscription.

    Example: millrace simulate finnhub --rate 50 --count 10000 --truth truth.jsonl
    """
    values, port, truth = _values(locals())
    from millrace.simulate import finnhub
    from millrace.simulate.exchange import Rules
    from millrace.simulate.market import SYMBOLS, Market

    rules = Rules(**{each.name: values.pop(each.name) for each in fields(Rules)})
    values["symbols"] = tuple(dict.fromkeys(symbols or SYMBOLS))
    finnhub.serve(Market(**values), rules, port, truth)


@app.command("tweets")
@_double(5555, 20.0)
def tweets(
    *,
    tagged: Tagged = 0.5,
    duplicates: Annotated[float, _fraction("tweets sent once or twice more")] = 0.0,
    shuffle: Annotated[float, typer.Option(help="Seconds by which event times step back")] = 0.03,
    late: Annotated[float, _fraction("tweets 30 to 60 minutes before the start")] = 0.0,
    bursts: Annotated[float, _fraction("tweets that come fifty at a time")] = 0.0,
    empty: Annotated[float, _fraction("tweets with nothing to read in them")] = 0.0,
    malformed: Annotated[float, _fraction("tweets that are broken")] = 0.0,
    wire: Annotated[str, typer.Option(help="plain, or as Twitter's API has them: v1, v2")] = "plain",
    **shared: Any,
) -> None:
    """Serve a generator of tweets on a WebSocket until Ctrl-C, and say what is right. It cannot replay.

    Example: millrace simulate tweets --rate 50 --count 10000 --truth truth.jsonl
    """
    values, port, truth = _values(locals())
    from millrace.simulate import tweets
    from millrace.simulate.talk import Talk

    tweets.serve(Talk(**values), port, truth)


@app.command("worldometers")
def worldometers(
    *,
    defect: Annotated[
        list[str] | None, typer.Option(help="down, redirect, slow, other-page, ...; may be repeated")
    ] = None,
    port: Annotated[int, typer.Option(help="Port on the loopback address; 0: any free one")] = 5556,
    seed: Annotated[int, typer.Option(help="Same seed: the same numbers again")] = 1,
    truth: Annotated[Path | None, typer.Option(help="Write the right answer here, JSON lines")] = None,
) -> None:
    """Serve a double of Worldometers' page and of its mirror disease.sh until Ctrl-C, with made-up numbers.

    Example: millrace simulate worldometers --defect reordered --defect blank
    """
    from millrace.simulate.worldometers import Bulletin, serve

    serve(Bulletin(seed, defect or ()), port, truth)


@app.command("llm")
def llm(
    *,
    latency: Annotated[str, typer.Option(help="Time that an answer takes, such as 200ms or 2s")] = "0s",
    fault: Annotated[str, typer.Option(help="dead, slow, limited, html, prose, ...; a wrong one lists them")] = "",
    only: Annotated[str, typer.Option(help="The fault is for texts that contain this")] = "",
    retry_after: Annotated[float, typer.Option(min=0, help="Seconds that Retry-After tells")] = 2.0,
    port: Annotated[int, typer.Option(help="Port on the loopback address; 0: any free one")] = 11435,
) -> None:
    """Serve a double of Ollama and of OpenAI's chat completions (/v1) until Ctrl-C, with labels by words.

    GET /counts tells its calls and the different texts among them; PUT /fault changes what it does wrong.

    Example: millrace simulate llm --latency 200ms --fault limited
    """
    from millrace.simulate.llm import Model, serve

    serve(Model(_seconds(latency), fault, only, retry_after=retry_after), port)


@app.command("changes")
def changes(
    *,
    rate: Annotated[float, typer.Option(min=0.1, help="Rows a second")] = 20.0,
    seed: Annotated[int, typer.Option(help="Same seed, same tables: the same again")] = 1,
    count: Annotated[int | None, typer.Option(help="Rows in all; default endless")] = None,
    home: Home = None,
) -> None:
    """Change demo_table1 and demo_table2 of the PostgreSQL that is captured until Ctrl-C, as people would.

    Inserts, updates, deletes, changed keys, and now and then a transaction over both. Rows of others stay as they are.

    Example: millrace simulate changes --rate 100
    """
    from threading import Event

    from millrace import config
    from millrace.cdc import demo, postgres
    from millrace.signals import signalled
    from millrace.simulate.changes import change

    url, stop = postgres.source(config.load(home=home)), Event()
    demo.seed(url)
    with signalled(stop):
        done = change(postgres.conninfo(url), stop.wait, rate=rate, seed=seed, count=count)
    typer.echo(f"changes: {done:,} rows", err=True)
