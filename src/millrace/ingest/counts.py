"""What the loop counted: for the progress line, the summary and Prometheus."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass
class Counts:
    """Totals since the start; `buffered` and `behind` (seconds) are of this moment.

    `mended` are those of the `events` in which a field had another shape than the provider documents.
    """

    events: int = 0
    mended: int = 0
    duplicates: int = 0
    dead_letters: int = 0
    gaps: int = 0
    commits: int = 0
    connections: int = 0
    buffered: int = 0
    behind: float = 0.0

    def line(self, rate: float) -> str:
        """Say it in one line; `rate` in events a second."""
        return (
            f"{self.events} events ({rate:.0f}/s), {self.mended} mended, {self.duplicates} duplicates, "
            f"{self.dead_letters} dead letters, {self.gaps} gaps, {self.connections} connections, "
            f"{self.buffered} buffered, {self.behind:.1f} s behind"
        )


class _Exposed(Collector):
    def __init__(self, feed: str, counts: Counts) -> None:
        self._feed, self._counts = feed, counts

    def collect(self) -> Iterator[Metric]:
        for each in fields(Counts):
            shape = GaugeMetricFamily if each.name in ("buffered", "behind") else CounterMetricFamily
            metric = shape(f"millrace_ingest_{each.name}", f"{each.name} of the feed", labels=["feed"])
            metric.add_metric([self._feed], getattr(self._counts, each.name))
            yield metric


def serve(feed: str, counts: Counts, port: int) -> tuple[WSGIServer, Thread]:
    """Serve the counts to Prometheus on 127.0.0.1:`port`, from a thread; returns what a test shuts down."""
    registry = CollectorRegistry()
    registry.register(_Exposed(feed, counts))
    return start_http_server(port, addr="127.0.0.1", registry=registry)
