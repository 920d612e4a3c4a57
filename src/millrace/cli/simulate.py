"""`millrace simulate`: a command for each double."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    help="Serve a double of a feed that speaks its wire protocol and knows the right answer.",
)


@app.command("bluesky")
def bluesky(
    *,
    port: Annotated[int, typer.Option(help="Port on the loopback address; 0: any free one")] = 6008,
    rate: Annotated[float, typer.Option(help="Events per second of event time")] = 50.0,
    seed: Annotated[int, typer.Option(help="Same options, same seed and start: same frames")] = 1,
    count: Annotated[int | None, typer.Option(help="Events in all; default endless")] = None,
    truth: Annotated[Path | None, typer.Option(help="Write the right answer here, JSON lines")] = None,
    start: Annotated[str | None, typer.Option(help="Time of the first event; default about now")] = None,
    speed: Annotated[float, typer.Option(help="Event seconds per second; 0: at once")] = 1.0,
    tagged: Annotated[float, typer.Option(help="Fraction of posts with hashtags")] = 0.3,
    duplicates: Annotated[float, typer.Option(help="Fraction of frames sent once or twice more")] = 0.0,
    shuffle: Annotated[float, typer.Option(help="Seconds by which event times step back")] = 0.03,
    late: Annotated[float, typer.Option(help="Fraction of posts 30 to 60 minutes before the start")] = 0.0,
    malformed: Annotated[float, typer.Option(help="Fraction of frames that are broken")] = 0.0,
    future_dated: Annotated[float, typer.Option(help="Fraction of posts that claim 2036 or 1970")] = 0.0,
    drop_every: Annotated[int | None, typer.Option(help="Close a connection after N frames on it")] = None,
    silent_after: Annotated[int | None, typer.Option(help="Once, after N frames in all, fall silent")] = None,
    time_cursors: Annotated[bool, typer.Option("--time-cursors", help="No sequence in v1 frames")] = False,
    lookback: Annotated[float, typer.Option(help="Hours that a cursor may reach back")] = 36.0,
) -> None:
    """Serve a double of Bluesky's Jetstream (v1 /subscribe and v2) until Ctrl-C, and say what is right.

    Example: millrace simulate bluesky --count 10000 --speed 0 --duplicates 0.1 --truth truth.jsonl
    """
    from millrace.simulate import bluesky
    from millrace.simulate.scenario import Scenario, instant

    scenario = Scenario(
        seed=seed,
        rate=rate,
        count=count,
        start=instant(start) if start else None,
        speed=speed,
        tagged=tagged,
        duplicates=duplicates,
        shuffle=shuffle,
        late=late,
        malformed=malformed,
        future_dated=future_dated,
        drop_every=drop_every,
        silent_after=silent_after,
        sequence=not time_cursors,
        lookback=lookback,
    )
    bluesky.serve(scenario, port=port, truth=truth)


@app.command("mastodon")
def mastodon(
    *,
    port: Annotated[int, typer.Option(help="Port on the loopback address; 0: any free one")] = 6009,
    rate: Annotated[float, typer.Option(help="Posts per second of event time")] = 2.0,
    seed: Annotated[int, typer.Option(help="Same options, same seed and start: same posts")] = 1,
    count: Annotated[int | None, typer.Option(help="Posts in all; default endless")] = None,
    truth: Annotated[Path | None, typer.Option(help="Write the right answer here, JSON lines")] = None,
    start: Annotated[str | None, typer.Option(help="Time of the first post; default about now")] = None,
    speed: Annotated[float, typer.Option(help="Event seconds per second; 0: all has happened")] = 1.0,
    tagged: Annotated[float, typer.Option(help="Fraction of posts with hashtags")] = 0.3,
    edited: Annotated[float, typer.Option(help="Fraction of posts that are edited")] = 0.05,
    deleted: Annotated[float, typer.Option(help="Fraction of posts that are deleted")] = 0.0,
    delayed: Annotated[float, typer.Option(help="Fraction of posts that appear later, with older ids")] = 0.05,
    malformed: Annotated[float, typer.Option(help="Fraction of posts that are broken")] = 0.0,
    duplicates: Annotated[float, typer.Option(help="Fraction of statuses that come twice")] = 0.0,
    reorder: Annotated[bool, typer.Option("--reorder", help="Pages in any order")] = False,
    site: Annotated[int, typer.Option(min=0, help="Number of the instance: the same posts, other ids")] = 0,
    limit: Annotated[int, typer.Option(help="Calls that are allowed in a period")] = 300,
    period: Annotated[float, typer.Option(help="Seconds of a period")] = 300.0,
    too_many: Annotated[float, typer.Option(help="Fraction of calls answered with 429")] = 0.0,
    broken_answers: Annotated[float, typer.Option(help="Fraction of calls answered with 500")] = 0.0,
    unauthorized: Annotated[float, typer.Option(help="Fraction of calls answered with 401")] = 0.0,
    empty: Annotated[float, typer.Option(help="Fraction of pages that are empty lists")] = 0.0,
    stalled: Annotated[float, typer.Option(help="Fraction of calls that get no answer")] = 0.0,
    drop_every: Annotated[int | None, typer.Option(help="Close a stream after N frames on it")] = None,
    silent_after: Annotated[int | None, typer.Option(help="Once, after N frames in all, fall silent")] = None,
    closed: Annotated[bool, typer.Option("--closed", help="The feeds are closed")] = False,
) -> None:
    """Serve a double of a Mastodon instance until Ctrl-C, and say what is right.

    Example: millrace simulate mastodon --rate 5 --count 1000 --truth truth.jsonl
    """
    from millrace.simulate import mastodon
    from millrace.simulate.community import Community
    from millrace.simulate.scenario import instant

    community = Community(
        seed=seed,
        rate=rate,
        count=count,
        start=instant(start) if start else None,
        speed=speed,
        tagged=tagged,
        edited=edited,
        deleted=deleted,
        delayed=delayed,
        malformed=malformed,
        duplicates=duplicates,
        reorder=reorder,
        site=site,
        limit=limit,
        period=period,
        too_many=too_many,
        broken_answers=broken_answers,
        unauthorized=unauthorized,
        empty=empty,
        stalled=stalled,
        drop_every=drop_every,
        silent_after=silent_after,
        closed=closed,
    )
    mastodon.serve(community, port, truth)
