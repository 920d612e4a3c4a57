"""Define and parse the command-line options that every job shares."""

import argparse
import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from millrace import config, logs
from millrace.config import Settings
from millrace.durations import seconds
from millrace.errors import ConfigError
from millrace.kafka.topics import MARKETS, SOURCES
from millrace.sinks.registry import SINKS
from millrace.spark.arguments import duration, folder, length_of_time, moment, topic, weight
from millrace.spark.backfill import Backfill

log = logging.getLogger(__name__)
MAX_OFFSETS = 500_000
# Options that may differ between runs on one checkpoint: all others shape the state or where it goes.
_STATELESS = {
    *("trigger", "once", "start", "dry_run", "checkpoint", "max_offsets", "metrics_port", "log_format", "name"),
    *("from_archive", "cases", "refresh"),
    *("engine", "model", "base_url", "concurrency", "timeout", "max_characters", "on_overload", "max_posts_per_hour"),
}
# Options that came later than checkpoints: where they are not given, a checkpoint is where it always was.
_LATER = {"regions", "overwrite"}


@dataclass(frozen=True)
class Options:
    """The parsed options of one run of a job; `args` holds the job's own options and the shared ones."""

    job: str
    settings: Settings
    args: argparse.Namespace
    backfill: Backfill = field(default_factory=Backfill)  # of all its parts

    @property
    def topics(self) -> list[str]:
        """The topics to read: --topic, else the topic of --source."""
        return list(dict.fromkeys(self.args.topic or ())) or [(SOURCES | MARKETS)[self.args.source].name]

    @property
    def bootstrap(self) -> str:
        """The Kafka brokers."""
        return self.settings.kafka_bootstrap

    @property
    def emit(self) -> str:
        """`update` or `final`: --emit, else `final` if no sink can overwrite a row (Kafka cannot), else `update`."""
        return self.args.emit or ("final" if all(SINKS[name].appends for name in self.args.sink) else "update")

    @property
    def realtime(self) -> bool:
        """Whether rows are passed on one by one, not in micro-batches; only some jobs can do so."""
        return bool(getattr(self.args, "realtime", False))

    @property
    def name(self) -> str:
        """The name of run files and logs: --name, else the job's name."""
        return str(self.args.name or self.job)

    @property
    def checkpoint(self) -> str:
        """The checkpoint's path: --checkpoint, else a folder for each way to run the job."""
        if self.args.checkpoint:
            return str(self.args.checkpoint)
        folder = f"{self.job}-{self.args.source}-{self._fingerprint()}"
        return str((self.settings.home / "checkpoints" / folder).resolve())

    def part(self, name: str) -> "Options":
        """Return the options of one of an analysis's queries, with its own name and checkpoint."""
        return replace(self.under(name), job=f"{self.job}-{name}")

    def under(self, name: str) -> "Options":
        """Return these options with `name` appended to --name and --checkpoint, if given, to tell several apart."""
        parted = argparse.Namespace(**vars(self.args))
        parted.name = self.args.name and f"{self.args.name}-{name}"
        parted.checkpoint = self.args.checkpoint and f"{self.args.checkpoint}-{name}"
        return replace(self, args=parted)

    def _fingerprint(self) -> str:
        known = {key: value for key, value in vars(self.args).items() if value or key not in _LATER}
        shaping = {key: value for key, value in known.items() if key not in _STATELESS}
        targets = sorted(_target(self.settings.store_url(name)) for name in self.args.sink if SINKS[name].is_store)
        text = json.dumps([shaping, self.topics, self.emit, targets], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


def _target(url: str) -> str:
    """Return a store's URL without its password, which may change."""
    try:
        return str(make_url(url).set(password=None))
    except ValueError:  # it names several hosts, each with a port: mongodb://user:password@one:27017,two:27017
        scheme, _, rest = url.partition("://")
        login, at, hosts = rest.rpartition("@")
        return f"{scheme}://{login.partition(':')[0]}{at}{hosts}"


def parse(
    job: str,
    doc: str | None,
    argv: Sequence[str] | None = None,
    *,
    sinks: Sequence[str] | Callable[[argparse.Namespace], Sequence[str]] = ("sqlite",),
    add: Callable[[argparse.ArgumentParser], Any] = lambda parser: None,
    source: str = "bluesky",
    trigger: str = "1 seconds",
    max_offsets: int | Callable[[argparse.Namespace], int] = MAX_OFFSETS,
    lenient: bool = False,
) -> Options:
    """Parse a job's command line: its own options, which `add` adds, and the shared ones.

    `sinks` are the default sinks, or a function of the parsed options that returns them, and so is `max_offsets`;
    `source` and `trigger` are the defaults of those options. A `lenient` parser ignores options that it does not know:
    they are for others. Raises ConfigError; --help and misuse exit.
    """
    parsing = parser(job, doc, "see above" if callable(sinks) else " ".join(sinks), add, source)
    parsing.set_defaults(trigger=trigger)
    args = parsing.parse_known_args(argv)[0] if lenient else parsing.parse_args(argv)
    chosen = args.sink
    if args.max_offsets is None:
        args.max_offsets = max_offsets(args) if callable(max_offsets) else max_offsets
    args.sink = list(dict.fromkeys(chosen or (sinks(args) if callable(sinks) else sinks)))
    fit = [name for name, sink in SINKS.items() if sink.direct]
    if getattr(args, "realtime", False) and (
        args.sink not in [[name] for name in fit] or args.once or args.deduplicate
    ):
        raise ConfigError(f"--realtime goes with --sink {' or '.join(fit)} alone, and without --once and --deduplicate")
    slide = getattr(args, "slide", None)
    if slide and seconds(slide) > seconds(args.window):
        raise ConfigError(
            f"--slide {slide} is longer than --window {args.window}: what lies between would count nowhere"
        )
    if getattr(args, "realtime", False) and args.from_archive:
        raise ConfigError("--from-archive reads what is there: it does not go with --realtime")
    logs.configure(args.log_format)
    settings = config.load(home=args.home, kafka_bootstrap=args.bootstrap)
    del args.home, args.bootstrap
    if not chosen:
        args.sink = _at_hand(args.sink, settings)
    lasting = [name for name in args.sink if args.overwrite and not SINKS[name].overwrites]
    if lasting:
        able = " and ".join(name for name, sink in SINKS.items() if sink.overwrites)
        raise ConfigError(f"--overwrite: {', '.join(lasting)} cannot do that, {able} can; choose them by --sink")
    for name in args.sink:
        if SINKS[name].is_store:
            settings.store_url(name)
    return Options(job, settings, args)


def parser(
    job: str, doc: str | None, sinks: str, add: Callable[[argparse.ArgumentParser], Any], source: str, **more: Any
) -> argparse.ArgumentParser:
    """Return a job's parser: its own options and the shared ones; `sinks` names the default sinks in the help.

    `more` goes to argparse.
    """
    form = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser(job, description=doc, formatter_class=form, allow_abbrev=False, **more)
    add(made)
    _add_shared(made, sinks, source)
    return made


def windows(parser: argparse.ArgumentParser, length: str = "1 minutes") -> None:
    """Add --window (`length` by default), --slide and --lateness, for jobs that count in windows."""
    parser.add_argument("--window", type=length_of_time, default=length, help="of a window (default %(default)s)")
    parser.add_argument("--slide", type=length_of_time, help="a window begins this often (default: the window)")
    lateness(parser)


def lateness(parser: argparse.ArgumentParser, of: str = "post") -> None:
    """Add --lateness, for jobs that keep state: counts or, with --deduplicate, the ids they have seen."""
    text = f"how late a {of} may be (default 10m)"
    parser.add_argument("--lateness", type=duration, default="10 minutes", help=text)


def realtime(parser: argparse.ArgumentParser) -> None:
    """Add --realtime, for jobs without state that write to Kafka."""
    text = "Spark's real-time mode: each post at once; needs a core a partition, and ends by repeating at most a minute"
    parser.add_argument("--realtime", action="store_true", help=text)


def weights(parser: argparse.ArgumentParser) -> None:
    """Add the options for the weights of the engagement score."""
    for counter, default in (("replies", 3.0), ("reblogs", 2.0), ("favourites", 1.0)):
        text = f"what one of the {counter} adds to the score (default {default:g})"
        parser.add_argument(f"--{counter}", type=weight, default=default, metavar="WEIGHT", help=text)


def _at_hand(sinks: list[str], settings: Settings) -> list[str]:
    """Return the default `sinks` without those whose store is neither set nor embedded, and log each of these."""
    away = [name for name in sinks if not SINKS[name].at_hand(settings)]
    for name in away:
        log.info(f"MILLRACE_{name.upper()}_URL is not set: nothing goes to {name.capitalize()} (`millrace up {name}`)")
    return [name for name in sinks if name not in away]


def _add_shared(parser: argparse.ArgumentParser, sinks: str, source: str) -> None:
    shared = parser.add_argument_group("shared by all jobs")
    add = shared.add_argument
    add(
        "--source",
        choices=sorted(MARKETS if source in MARKETS else SOURCES),
        default=source,
        help="whose topic to read (default %(default)s)",
    )
    add("--topic", action="append", type=topic, metavar="NAME", help="read this topic instead; repeatable")
    add("--bootstrap", metavar="HOST:PORT", help="Kafka brokers (default MILLRACE_KAFKA_BOOTSTRAP)")
    text = "where a first run begins; latest: in the middle of windows, of which it sees the rest alone"
    add("--from", dest="start", choices=("earliest", "latest"), default="earliest", help=text)
    add("--from-archive", action="store_true", help="read the archived records instead, all of them in one batch")
    trigger = shared.add_mutually_exclusive_group()
    trigger.add_argument(
        "--trigger",
        type=duration,
        default="1 seconds",
        metavar="5s",
        help="a micro-batch this often; 0s: at once",
    )
    trigger.add_argument("--once", action="store_true", help="process what is there, then end")
    add("--emit", choices=("update", "final"), help="rows as they change, or once when their window has closed")
    add(
        "--sink",
        action="append",
        choices=[name for name, sink in SINKS.items() if sink.offered],
        help=f"where rows go; repeatable (default {sinks})",
    )
    text = "where the stream remembers its place (default <home>/checkpoints/...)"
    add("--checkpoint", type=folder, metavar="PATH", help=text)
    add("--deduplicate", action="store_true", help="drop repeated event ids (for topics that others write)")
    text = "this run is right about windows from FROM on, whatever is stored, also where its counts are smaller"
    add("--overwrite", type=moment, metavar="FROM", help=text)
    text = f"records a micro-batch at most (default {MAX_OFFSETS:_}, fewer where each costs a question)"
    add("--max-offsets", type=int, metavar="N", help=text)
    add("--dry-run", action="store_true", help="show settings, topics and plan, then end")
    add("--name", metavar="NAME", help="name of run files and logs (default: the job's)")
    add("--metrics-port", type=int, metavar="PORT", help="serve Prometheus metrics on this port")
    add("--log-format", choices=("text", "json"), default="text", help="how progress is logged")
    add("--home", type=Path, metavar="PATH", help="where state lives (default MILLRACE_HOME or .millrace)")
