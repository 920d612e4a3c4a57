"""The pipelines that `make demo` shows: where each reads, what stands in for the service, which job runs."""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from millrace import panels, reach, screen
from millrace.config import Settings


@dataclass(frozen=True)
class Pipeline:
    """One pipeline. All tuples are arguments of `millrace`; `view` is the module that draws its tables.

    `unreachable` returns why the `service` cannot be read, "" where it can; `urls` are its addresses, each of which
    the adapter is told by `option`.
    """

    name: str
    service: str
    urls: Callable[[Settings], list[str]]
    unreachable: Callable[[Settings], str]
    option: str
    live: tuple[str, ...]
    simulated: tuple[str, ...]  # to the adapter, where the simulator feeds it
    simulator: tuple[str, ...]
    rate: float  # of the simulator, a second
    job: tuple[str, ...]
    run_file: str  # whose progress is shown
    view: ModuleType


def _no_instance(settings: Settings) -> str:
    return reach.instance(settings.mastodon_url.split(",")[0], settings.mastodon_access_token)


BLUESKY = Pipeline(
    name="bluesky",
    service="Bluesky",
    urls=lambda settings: [settings.bluesky_url],
    unreachable=lambda settings: reach.jetstream(settings.bluesky_url.split(",")),
    option="--url",
    live=(),
    simulated=(),
    simulator=("--duplicates", "0.02", "--malformed", "0.005"),
    rate=200.0,
    job=("hashtags", "--trigger", "1s"),
    run_file="hashtags",
    view=screen,
)
MASTODON = Pipeline(
    name="mastodon",
    service="Mastodon",
    urls=lambda settings: settings.mastodon_url.split(","),
    unreachable=_no_instance,
    option="--instance",
    live=("--every", "3s", "--revisit", "1m,5m"),
    simulated=("--stream", "public", "--revisit", "10s,30s"),
    simulator=("--duplicates", "0.02", "--malformed", "0.005", "--deleted", "0.02", "--limit", "100000"),
    rate=20.0,
    job=("mastodon", "--analysis", "hashtags", "--analysis", "languages", "--analysis", "engagement",
         "--sink", "sqlite", "--trigger", "2s"),
    run_file="hashtags",
    view=panels,
)  # fmt: skip
PIPELINES = {each.name: each for each in (BLUESKY, MASTODON)}
