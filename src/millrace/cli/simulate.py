"""`millrace simulate`: a command for each double. Its options are the fields of the scenario, by name."""

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from millrace.simulate.scenario import instant

app = typer.Typer(
    no_args_is_help=True,
    help="Serve a double of a feed that speaks its wire protocol and knows the right answer.",
)

Port = Annotated[int, typer.Option(help="Port on the loopback address; 0: any free one")]
Rate = Annotated[float, typer.Option(help="Events or posts per second of event time")]
Seed = Annotated[int, typer.Option(help="Same options, same seed and start: the same again")]
Count = Annotated[int | None, typer.Option(help="Events or posts in all; default endless")]
Truth = Annotated[Path | None, typer.Option(help="Write the right answer here, JSON lines")]
Start = Annotated[str | None, typer.Option(help="Time of the first one; default about now")]
Speed = Annotated[float, typer.Option(help="Event seconds per second; 0: at once")]
DropEvery = Annotated[int | None, typer.Option(help="Close a connection after N frames on it")]
SilentAfter = Annotated[int | None, typer.Option(help="Once, after N frames in all, fall silent")]


def _fraction(what: str) -> Any:
    return typer.Option(help=f"Fraction of {what}")


Tagged = Annotated[float, _fraction("posts with hashtags")]


@app.command("bluesky")
def bluesky(
    *,
    port: Port = 6008,
    rate: Rate = 50.0,
    seed: Seed = 1,
    count: Count = None,
    truth: Truth = None,
    start: Start = None,
    speed: Speed = 1.0,
    tagged: Tagged = 0.3,
    duplicates: Annotated[float, _fraction("frames sent once or twice more")] = 0.0,
    shuffle: Annotated[float, typer.Option(help="Seconds by which event times step back")] = 0.03,
    late: Annotated[float, _fraction("posts 30 to 60 minutes before the start")] = 0.0,
    malformed: Annotated[float, _fraction("frames that are broken")] = 0.0,
    future_dated: Annotated[float, _fraction("posts that claim 2036 or 1970")] = 0.0,
    drop_every: DropEvery = None,
    silent_after: SilentAfter = None,
    time_cursors: Annotated[bool, typer.Option("--time-cursors", help="No sequence in v1 frames")] = False,
    lookback: Annotated[float, typer.Option(help="Hours that a cursor may reach back")] = 36.0,
) -> None:
    """Serve a double of Bluesky's Jetstream (v1 /subscribe and v2) until Ctrl-C, and say what is right.

    Example: millrace simulate bluesky --count 10000 --speed 0 --duplicates 0.1 --truth truth.jsonl
    """
    values = _values(locals())
    from millrace.simulate import bluesky
    from millrace.simulate.scenario import Scenario

    sequence = not values.pop("time_cursors")
    bluesky.serve(Scenario(**values, sequence=sequence), port=port, truth=truth)


@app.command("mastodon")
def mastodon(
    *,
    port: Port = 6009,
    rate: Rate = 2.0,
    seed: Seed = 1,
    count: Count = None,
    truth: Truth = None,
    start: Start = None,
    speed: Speed = 1.0,
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
    drop_every: DropEvery = None,
    silent_after: SilentAfter = None,
    closed: Annotated[bool, typer.Option("--closed", help="The feeds are closed")] = False,
) -> None:
    """Serve a double of a Mastodon instance until Ctrl-C, and say what is right.

    Example: millrace simulate mastodon --rate 5 --count 1000 --truth truth.jsonl
    """
    values = _values(locals())
    from millrace.simulate import mastodon
    from millrace.simulate.community import Community

    mastodon.serve(Community(**values), port, truth)


def _values(options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a scenario among a command's options."""
    rest = {name: value for name, value in options.items() if name not in ("port", "truth")}
    return rest | {"start": instant(options["start"]) if options["start"] else None}


@app.command("finnhub")
def finnhub(
    symbols: Annotated[list[str] | None, typer.Argument(help="What is traded; default nine well-known symbols")] = None,
    *,
    port: Port = 6010,
    rate: Rate = 20.0,
    seed: Seed = 1,
    count: Count = None,
    truth: Truth = None,
    start: Start = None,
    speed: Speed = 1.0,
    shuffle: Annotated[float, typer.Option(help="Seconds by which times step back")] = 0.05,
    zero_volume: Annotated[float, _fraction("trades that only update the price")] = 0.05,
    conditions: Annotated[float, _fraction("trades with condition codes")] = 0.5,
    bursts: Annotated[float, _fraction("messages that hold many trades")] = 0.0,
    malformed: Annotated[float, _fraction("trades that are broken")] = 0.0,
    token: Annotated[str, typer.Option(help="The key that is accepted")] = "demo",
    max_symbols: Annotated[int, typer.Option(min=1, help="Symbols that a connection may follow")] = 50,
    ping_every: Annotated[float, typer.Option(min=0.01, help="Seconds between pings")] = 60.0,
    drop_every: DropEvery = None,
    silent_after: SilentAfter = None,
) -> None:
    """Serve a double of Finnhub until Ctrl-C, and say what is right. The market opens with the first subscription.

    Example: millrace simulate finnhub --rate 50 --count 10000 --truth truth.jsonl
    """
    values = _values(locals())
    from millrace.simulate import finnhub
    from millrace.simulate.exchange import Rules
    from millrace.simulate.market import SYMBOLS, Market

    rules = Rules(**{each.name: values.pop(each.name) for each in fields(Rules)})
    values["symbols"] = tuple(dict.fromkeys(symbols or SYMBOLS))
    finnhub.serve(Market(**values), rules, port, truth)
