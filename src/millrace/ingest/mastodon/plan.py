"""Plan what to read from Mastodon: which instances and timelines, how often, and from when on."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from millrace import durations
from millrace.errors import ConfigError
from millrace.ingest.mastodon.statuses import PUBLIC
from millrace.urls import is_url

STREAMS = ("public", "public:local", "hashtag")
EVERY = "3s"
VISIBILITIES = ("public", "unlisted", "private", "direct")


@dataclass(frozen=True)
class Plan:
    """What to read: timelines of `tags` (none: the public or the `local` one) of `instances` (https:// URLs).

    `every` in seconds; `stream` None polls. `since` in seconds before now, None begins with the newest page. `revisit`
    are seconds after a post's creation. `timeout` in seconds is for each answer. Raises ConfigError that names
    everything that does not go together.
    """

    instances: tuple[str, ...]
    tags: tuple[str, ...] = ()
    every: float = durations.seconds(EVERY)
    stream: str | None = None
    local: bool = False
    since: float | None = None
    revisit: tuple[float, ...] = ()
    visibilities: frozenset[str] = PUBLIC
    keep_raw: bool = False
    timeout: float = 10.0

    def __post_init__(self) -> None:
        """Raise ConfigError for what does not go together."""
        rules = {
            "--instance is an https:// URL": all(is_url(each, "http", "https", bare=True) for each in self.instances),
            f"--stream is {', '.join(STREAMS)}": self.stream in (None, *STREAMS),
            "--stream hashtag needs a --tag": self.stream != "hashtag" or self.tags,
            "--tag goes with --stream hashtag": not self.tags or self.stream in (None, "hashtag"),
            "--local goes with neither --tag nor --stream (--stream public:local is the stream of local posts)": not (
                self.local and (self.tags or self.stream not in (None, "public:local"))
            ),
            "--tag is a word": all(tag.strip("# ") for tag in self.tags),
            "--every is more than 0 s": self.every > 0,
            f"--visibility is {', '.join(VISIBILITIES)}": self.visibilities <= set(VISIBILITIES),
        }
        if wrong := [rule for rule, holds in rules.items() if not holds]:
            raise ConfigError("; ".join(wrong))

    @property
    def paths(self) -> list[str]:
        """The timelines of each instance."""
        if self.tags:
            return [f"tag/{quote(tag.lstrip('#'), safe='')}" for tag in dict.fromkeys(self.tags)]
        return ["local" if self.local or self.stream == "public:local" else "public"]


def read(
    *,
    instances: Sequence[str],
    tags: Sequence[str] = (),
    every: str | None = None,
    stream: str | None = None,
    local: bool = False,
    since: str | None = None,
    revisit: str | None = None,
    visibilities: Sequence[str] | None = None,
    keep_raw: bool = False,
) -> Plan:
    """Return the plan that the command line's options give; raises ConfigError."""
    if every and stream:
        raise ConfigError("--every is for polling: a stream tells at once")
    return Plan(
        instances=tuple(dict.fromkeys(each.strip().rstrip("/") for each in instances)),
        tags=tuple(tags),
        every=_seconds("--every", every or EVERY),
        stream=stream,
        local=local,
        since=_seconds("--since", since) if since else None,
        revisit=tuple(sorted(_seconds("--revisit", each) for each in revisit.split(","))) if revisit else (),
        visibilities=frozenset(visibilities) if visibilities else PUBLIC,
        keep_raw=keep_raw,
    )


def _seconds(option: str, text: str) -> float:
    try:
        return durations.seconds(text)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from None
