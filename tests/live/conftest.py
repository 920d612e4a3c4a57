"""One Spark session for the folder, and a TCP proxy that takes a server away and gives it back."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from pyspark.sql import SparkSession

from millrace import explore


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """A local session, set up as notebooks get it, that can write to Kafka."""
    session = explore.session()
    session.conf.set("spark.sql.shuffle.partitions", "2")
    yield session
    session.stop()


class Proxy:
    """Carries bytes from a port of its own to a server; `cut` drops and refuses, `restore` carries again."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.port = 0
        self.links: list[socket.socket] = []
        self.restore()

    def restore(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def cut(self) -> None:
        _close(self.listener)
        while self.links:
            _close(self.links.pop())

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # cut
                return
            server = socket.create_connection(self.target)
            self.links += [client, server]
            for pair in ((client, server), (server, client)):
                threading.Thread(target=_pump, args=pair, daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
    _close(source)
    _close(sink)


def _close(link: socket.socket) -> None:
    with contextlib.suppress(OSError):
        link.shutdown(socket.SHUT_RDWR)
    link.close()


@pytest.fixture
def proxy() -> Iterator[Callable[[str, int], Proxy]]:
    """Make a proxy for (host, port); all are cut at the end of the test."""
    made: list[Proxy] = []

    def make(host: str, port: int) -> Proxy:
        made.append(Proxy((host, port)))
        return made[-1]

    yield make
    for each in made:
        each.cut()
