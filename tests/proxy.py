"""A TCP proxy that takes a server away, or lets it answer late."""

import contextlib
import socket
import threading
from collections.abc import Callable

from sqlalchemy import make_url


class Proxy:
    """Carries bytes from a port of its own to a server; `cut` refuses, `hang` holds, `flow` and `restore` carry on.

    `delay` seconds pass before each chunk of an answer goes on.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.port = 0
        self.links: list[socket.socket] = []
        self.flowing = threading.Event()
        self.flowing.set()
        self.delay = 0.0
        self.restore()

    def restore(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def hang(self) -> None:
        self.flowing.clear()

    def flow(self) -> None:
        self.flowing.set()

    def cut(self) -> None:
        self.flow()
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
            threading.Thread(target=self._pump, args=(client, server, lambda: 0.0), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, lambda: self.delay), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, delay: Callable[[], float]) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                self.flowing.wait()
                threading.Event().wait(delay())
                sink.sendall(chunk)
        _close(source)
        _close(sink)


def through(url: str, proxy: Callable[[str, int], Proxy]) -> tuple[Proxy, str]:
    """Return a proxy before the server of an SQLAlchemy URL, and the URL that leads through it."""
    parsed = make_url(url)
    link = proxy(parsed.host or "", parsed.port or 0)
    return link, parsed.set(host="127.0.0.1", port=link.port).render_as_string(hide_password=False)


def _close(link: socket.socket) -> None:
    with contextlib.suppress(OSError):
        link.shutdown(socket.SHUT_RDWR)
    link.close()
