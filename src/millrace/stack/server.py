"""What a local server is to the rest: its port, its setting, its start and the query that proves it ready."""

import random
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from millrace.config import Settings
from millrace.stack.process import Launch

LOOPBACK = "127.0.0.1"
PORTS = range(20_000, 32_768)  # below those that the system gives to any connection that goes out, at any moment


@dataclass(frozen=True)
class Server:
    """A server that `millrace up` knows; its functions get the server's own data folder and port."""

    name: str
    setting: str  # the key in servers.env
    usual_port: int
    prepare: Callable[[Path, int], Launch]  # downloads and initialises what is not there yet
    address: Callable[[Path, int], str]  # the value of the setting
    check: Callable[[str], object]  # a real query against the address; raises Unavailable
    stop_signal: signal.Signals = signal.SIGTERM
    web: tuple[str, Callable[[Path], str]] | None = None  # a second setting, whose value is asked by `check`
    needs: tuple[tuple[str, str], ...] = ()  # servers that start before it: (name, what of Settings leads to it)
    told: Callable[[Settings], Mapping[str, str]] = lambda _: {}  # its environment, once those run

    def asked(self, folder: Path, port: int) -> str:
        """Return where `check` asks."""
        return self.web[1](folder) if self.web else self.address(folder, port)

    def ports(self, folder: Path, port: int) -> list[int]:
        """Return the ports on which clients look for it."""
        return [port, *([urlsplit(self.web[1](folder)).port or 0] if self.web else [])]

    def settings(self, folder: Path, port: int) -> dict[str, str]:
        """Return its lines in servers.env."""
        second = {self.web[0]: self.web[1](folder)} if self.web else {}
        return {self.setting: self.address(folder, port), **second}

    @property
    def keys(self) -> list[str]:
        """The keys of its lines in servers.env."""
        return [self.setting, *([self.web[0]] if self.web else [])]


def free_port(*preferred: int) -> int:
    """Return the first of `preferred` that is free on the loopback address, else any free one of PORTS."""
    return next(filter(is_free, (*preferred, *random.sample(PORTS, len(PORTS)))))


def is_free(port: int) -> bool:
    """Return whether a server could listen on `port` of the loopback address now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
