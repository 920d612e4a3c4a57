"""What a pipeline of `make demo` is: its servers, what feeds it, its Spark job, and what draws it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType

from millrace.config import Settings
from millrace.kafka.results import Result


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """One pipeline. All tuples of words are arguments of `millrace`; `view` is the module that draws it.

    `rows` is the number of rows of a table in the view; `rate` are the events a second of what feeds it by itself.
    """

    name: str
    service: str
    rate: float
    job: tuple[str, ...]
    run_file: str  # whose progress is shown
    view: ModuleType
    rows: int = 8
    servers: tuple[str, ...] = ("kafka",)


@dataclass(frozen=True, kw_only=True)
class Fed(Pipeline):
    """A pipeline that an adapter feeds, from a service or from the simulator in its place.

    `feed` is the name of its adapter and its simulator, `environment` what the adapter needs to read the simulator.
    `unreachable` returns why the `service` cannot be read, "" if it can; `urls` are its addresses, each of which the
    adapter gets by `option`, with the arguments `live`. The view reads SQLite, MongoDB where its `documents` are, or
    ClickHouse where its `labels` are.
    `second` is a further double that runs where the simulator does: its name, the option of the job that gets its
    address, and the path there.
    """

    feed: str
    urls: Callable[[Settings], list[str]]
    unreachable: Callable[[Settings], str]
    option: str
    live: Callable[[], tuple[str, ...]]
    simulated: tuple[str, ...]  # to the adapter, if the simulator feeds it
    simulator: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    documents: Result | None = None
    labels: Result | None = None
    second: tuple[str, str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Copied(Pipeline):
    """A pipeline that copies `tables` of PostgreSQL, which `workload` changes; `verdict` says what is equal."""

    tables: tuple[str, ...]
    workload: tuple[str, ...]
    verdict: tuple[str, ...]
