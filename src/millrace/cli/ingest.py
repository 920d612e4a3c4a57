"""`millrace ingest`: a command for each feed."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace import config
from millrace.cli.options import Bootstrap, Command, Home, sharing
from millrace.config import Settings

if TYPE_CHECKING:
    from millrace.ingest.run import Options

app = typer.Typer(no_args_is_help=True, help="Carry a live feed into Kafka, exactly once where the feed can replay.")


def _feed(watchdog: float = 60.0) -> Callable[[Command], Command]:
    """Give a command the options that every feed has; `watchdog` is the default of that one."""
    return sharing(
        limit=(Annotated[int | None, typer.Option(min=1, help="End after so many events")], None),
        seconds=(Annotated[float | None, typer.Option(min=0, help="End after so many seconds")], None),
        printing=(Annotated[bool, typer.Option("--print", help="Events as JSON lines, without Kafka")], False),
        watchdog=(Annotated[float, typer.Option(min=1, help="Seconds of silence until it connects anew")], watchdog),
        metrics_port=(Annotated[int | None, typer.Option(help="Serve Prometheus metrics on this port")], None),
        bootstrap=(Bootstrap, None),
        home=(Home, None),
    )


def _settings(shared: dict[str, Any], **own: str | None) -> Settings:
    return config.load(home=shared["home"], kafka_bootstrap=shared["bootstrap"], **own)


def _options(shared: dict[str, Any]) -> "Options":
    from millrace.ingest.run import Options

    return Options(**{name: shared[name] for name in ("limit", "seconds", "watchdog", "metrics_port")})


@app.command("bluesky")
@_feed()
def bluesky(
    *,
    url: Annotated[str | None, typer.Option(help="Jetstream hosts, by commas; v2 by its whole path")] = None,
    collections: Annotated[list[str] | None, typer.Option(help="What the server sends; default posts")] = None,
    from_cursor: Annotated[int | None, typer.Option(help="Begin here: sequence number or microseconds")] = None,
    keep_raw: Annotated[bool, typer.Option("--keep-raw", help="Add the frame itself as `raw`")] = False,
    **shared: Any,
) -> None:
    """Carry the posts of Bluesky into the topic bluesky-raw-posts until Ctrl-C.

    Example: millrace ingest bluesky --limit 1000
    """
    from millrace.ingest import command

    command.bluesky(
        _settings(shared, bluesky_url=url),
        _options(shared),
        collections=collections,
        from_cursor=from_cursor,
        keep_raw=keep_raw,
        printing=shared["printing"],
    )


@app.command("mastodon")
@_feed()
def mastodon(
    *,
    instance: Annotated[
        list[str] | None, typer.Option("--instance", "--baseURL", help="Instances, https:// URLs, read at once")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Hashtags; default the public timeline")] = None,
    every: Annotated[
        str | None, typer.Option(help="Time between two looks at a timeline, 3s; longer where the limit asks")
    ] = None,
    stream: Annotated[str | None, typer.Option(help="public, public:local or hashtag: do not poll")] = None,
    local: Annotated[bool, typer.Option("--local/--public", help="Only posts written there, or all")] = False,
    since: Annotated[str | None, typer.Option(help="Begin a new timeline so long ago, as 1h; or newest page")] = None,
    revisit: Annotated[str | None, typer.Option(help="Look posts up again at these ages: 5m,1h,24h")] = None,
    visibility: Annotated[list[str] | None, typer.Option(help="Posts of these alone; default public")] = None,
    keep_raw: Annotated[bool, typer.Option("--keep-raw", help="Add the status itself as `raw`")] = False,
    kafka: Annotated[bool, typer.Option("--enableKafka", help="Write to Kafka, as is done without --print")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing while all goes well")] = False,
    **shared: Any,
) -> None:
    """Carry the posts of Mastodon instances into the topic Mastodon_stream until Ctrl-C.

    Example: millrace ingest mastodon --tag news --every 3s --revisit 5m,1h
    """
    from millrace.ingest import command
    from millrace.ingest.mastodon.plan import read

    settings = _settings(shared, mastodon_url=",".join(instance or []) or None)
    command.mastodon(
        settings,
        _options(shared),
        read(
            instances=settings.mastodon_url.split(","),
            tags=tag or [],
            every=every,
            stream=stream,
            local=local,
            since=since,
            revisit=revisit,
            visibilities=visibility,
            keep_raw=keep_raw,
        ),
        printing=shared["printing"] and not kafka,
        quiet=quiet,
    )


@app.command("finnhub")
@_feed(watchdog=150.0)
def finnhub(
    symbols: Annotated[list[str], typer.Argument(help="Such as BINANCE:BTCUSDT, AAPL, OANDA:EUR_USD")],
    *,
    url: Annotated[str | None, typer.Option(help="Another host, such as the double's")] = None,
    **shared: Any,
) -> None:
    """Carry the trades of symbols into the topic finnhub-trades until Ctrl-C; FINNHUB_TOKEN is your key.

    Example: millrace ingest finnhub BINANCE:BTCUSDT AAPL
    """
    from millrace.ingest import command

    command.finnhub(
        _settings(shared, finnhub_url=url),
        _options(shared),
        symbols,
        printing=shared["printing"],
    )


@app.command("tweets")
@_feed()
def tweets(
    *,
    url: Annotated[str | None, typer.Option(help="The generators, by commas; default ws://localhost:5555")] = None,
    file: Annotated[Path | None, typer.Option(help="Tweets of a file instead: JSON lines, also .gz")] = None,
    strip_links: Annotated[bool, typer.Option("--strip-links", help="Texts without links")] = False,
    strip_mentions: Annotated[bool, typer.Option("--strip-mentions", help="Texts without @names")] = False,
    keep_raw: Annotated[bool, typer.Option("--keep-raw", help="Add the tweet as it came as `raw`")] = False,
    **shared: Any,
) -> None:
    """Carry tweets into the topic tweets, cleaned: from a WebSocket until Ctrl-C, or from a file, each once.

    Example: millrace ingest tweets --url ws://localhost:5555
    """
    from millrace.errors import ConfigError
    from millrace.ingest import command
    from millrace.ingest.tweets.shapes import Reading

    if url and file:
        raise ConfigError("--url and --file are two ways: choose one")
    settings, options = _settings(shared, tweets_url=url), _options(shared)
    reading = Reading(strip_links, strip_mentions, keep_raw)
    if file:
        command.recorded_tweets(file, settings, options, reading, printing=shared["printing"])
    else:
        command.tweets(settings, options, reading, printing=shared["printing"])
