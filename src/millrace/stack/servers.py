"""`millrace up`, `down` and `status`: the local servers of one home folder."""

import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fcntl import LOCK_EX, flock
from pathlib import Path

from dotenv import dotenv_values
from pydantic import SecretStr

from millrace import config
from millrace.config import Settings
from millrace.errors import ConfigError, Unavailable
from millrace.kafka import results, topics, transactions
from millrace.logs import say
from millrace.stack import env_file, kafka, process
from millrace.stack.artifacts import only_one
from millrace.stack.clickhouse import CLICKHOUSE, PID_FILE
from millrace.stack.connect import CONNECT
from millrace.stack.elasticsearch import ELASTICSEARCH
from millrace.stack.hdfs import HDFS
from millrace.stack.kafka import KAFKA
from millrace.stack.mongodb import MONGODB
from millrace.stack.mysql import MYSQL
from millrace.stack.ollama import OLLAMA
from millrace.stack.postgres import POSTGRES
from millrace.stack.process import Running
from millrace.stack.registry import REGISTRY
from millrace.stack.server import LOOPBACK, Server, free_port, is_free
from millrace.stack.superset import SUPERSET

ATTEMPTS = 3  # a port is free when it is chosen, and may be taken before the server binds it
SERVERS = {
    server.name: server
    for server in (KAFKA, POSTGRES, MYSQL, ELASTICSEARCH, HDFS, MONGODB, CLICKHOUSE, CONNECT, REGISTRY, OLLAMA)
}
NOTHING: Mapping[str, str] = {}
STOPPABLE = {**SERVERS, SUPERSET.name: SUPERSET}  # `make superset` starts that one, for it wants more than a start


@dataclass(frozen=True)
class Status:
    """One line of `millrace status`; `memory` is resident, in bytes, with child processes."""

    name: str
    pid: int | None
    port: int | None
    ready: bool
    memory: int | None


def up(names: Sequence[str], settings: Settings) -> None:
    """Start the servers `names` (none: kafka) that do not run; return when each has answered a real query.

    Those that another cannot do without come first, unless the settings name one that is not of `millrace up`. Their
    addresses go into servers.env; with Kafka come its topics. Raises ConfigError for an unknown name or platform,
    Unavailable when a download or a start fails.
    """
    chosen = _choose(names or ["kafka"])
    _require_platform()
    if needed := _needed(chosen, settings):
        up([*needed, *(server.name for server in chosen if not server.needs)], settings)
        settings = reaching(settings, needed)
        chosen = [server for server in chosen if server.needs]
    home = settings.home.resolve()
    if len(chosen) == 1:  # without another thread, so that Ctrl-C ends it at once
        start(chosen[0], settings)
        return
    with _only_one_at_a_time(home):
        with ThreadPoolExecutor(len(chosen)) as pool:
            starts = [pool.submit(_up, server, home, server.told(settings)) for server in chosen]
        for server, begun in zip(chosen, starts, strict=True):
            if not begun.exception():  # those that run are announced, also when another failed
                _announce(server, home, begun.result(), settings)
    for begun in starts:
        begun.result()


def reaching(settings: Settings, names: Sequence[str]) -> Settings:
    """Return `settings` with the addresses of the servers `names` of `up`, whatever they said before."""
    ours = dotenv_values(settings.home / "servers.env")
    found: dict[str, str | SecretStr] = {}
    for server in _choose(names):
        name, value = server.setting.removeprefix(config.PREFIX).lower(), ours[server.setting] or ""
        found[name] = SecretStr(value) if Settings.model_fields[name].annotation == SecretStr | None else value
    return settings.model_copy(update=found)


def start(server: Server, settings: Settings) -> None:
    """Start one that `up` does not know, unless it runs; its address goes into servers.env."""
    _require_platform()
    home = settings.home.resolve()
    with _only_one_at_a_time(home):
        _announce(server, home, _up(server, home, server.told(settings)), settings)


def _needed(chosen: Sequence[Server], settings: Settings) -> list[str]:
    """Return the servers that the chosen need and that are of `millrace up`: nothing else gave their address."""
    ours = dotenv_values(settings.home / "servers.env")
    unset = {config.PREFIX + name.upper(): field.default for name, field in Settings.model_fields.items()}
    pairs = [(SERVERS[name].setting, name, getattr(settings, place)) for each in chosen for name, place in each.needs]
    return [name for setting, name, found in pairs if found in (unset[setting], ours.get(setting))]


def _announce(server: Server, home: Path, port: int, settings: Settings) -> None:
    env_file.update(home, server.settings(folder(home, server), port))
    if server is KAFKA:
        bootstrap = f"{LOOPBACK}:{port}"
        topics.create(bootstrap, results.TOPICS.values(), settings.partitions)
        if closed := transactions.close_forgotten(bootstrap):
            say(f"kafka: {len(closed)} transactions ended where it had stopped before it told that")


def down(settings: Settings, names: Sequence[str] | None = None, *, data: bool = False) -> list[str]:
    """Stop the servers `names` (none: all, Superset too) that `up` started and forget their addresses.

    With `data`, what they stored goes too; returns the ids of the Kafka clusters that are no more. Other servers, and
    those that `up` did not start, are left alone.
    """
    chosen = _choose(names or list(STOPPABLE), STOPPABLE)
    home = settings.home.resolve()
    with _only_one_at_a_time(home), ThreadPoolExecutor(len(chosen)) as pool:
        for wave in ([server for server in chosen if server.needs], [server for server in chosen if not server.needs]):
            list(pool.map(lambda server: _down(server, home), wave))  # first what could not end without the others
        env_file.update(home, {key: None for server in chosen for key in server.keys})
        gone = [
            known for server in chosen if data and server is KAFKA and (known := kafka.cluster(folder(home, server)))
        ]
        for server in chosen if data else []:
            shutil.rmtree(folder(home, server), ignore_errors=True)
    return gone


def status(settings: Settings) -> list[Status]:
    """Return a line for each server that `up` knows, and for Superset where it runs."""
    home = settings.home.resolve()
    with ThreadPoolExecutor(len(STOPPABLE)) as pool:
        rows = list(pool.map(lambda server: _status(server, home), STOPPABLE.values()))
    return [row for row in rows if row.pid or row.name in SERVERS]


def _choose(names: Sequence[str], known: Mapping[str, Server] = SERVERS) -> list[Server]:
    if unknown := [name for name in names if name not in known]:
        apart = "; `make superset` starts Superset" if SUPERSET.name in unknown else ""
        raise ConfigError(f"no such server: {', '.join(unknown)}; there are {', '.join(known)}{apart}")
    return [known[name] for name in dict.fromkeys(names)]


def _require_platform() -> None:
    here = f"{platform.system()} {platform.machine()}"
    if here != "Linux x86_64":
        raise ConfigError(f"local servers run on Linux x86_64 only, this is {here}: use docker/compose.yaml")


def _up(server: Server, home: Path, told: Mapping[str, str] = NOTHING) -> int:
    known = process.read(_pid_file(home, server))
    if known and known.alive():
        _wait(server, home, known)
        say(f"{server.name}: runs already on {LOOPBACK}:{known.port}, pid {known.pid}")
        return known.port
    with only_one(f"start-{server.name}"):  # across homes, or two would choose the same port
        running, seconds = _start(server, home, known, told)
    note = "" if running.port == server.usual_port else f" (port {server.usual_port} is taken)"
    say(f"{server.name}: ready on {LOOPBACK}:{running.port}{note}, pid {running.pid}, {seconds:.1f} s")
    return running.port


def _start(
    server: Server, home: Path, known: Running | None, told: Mapping[str, str], attempts: int = ATTEMPTS
) -> tuple[Running, float]:
    # After a crash the old port comes first: clients that still run look for the server there.
    port = free_port(*([known.port] if known else []), server.usual_port)
    launch = server.prepare(folder(home, server), port)
    launch = replace(launch, env={**launch.env, **told})
    begin = time.monotonic()
    running = process.start(launch, _log(home, server), _pid_file(home, server), port)
    try:
        _wait(server, home, running)
    except Unavailable:
        _down(server, home)
        if attempts == 1 or all(map(is_free, server.ports(folder(home, server), port))):
            raise
        say(f"{server.name}: somebody else was faster on its port, trying another")
        return _start(server, home, known, told, attempts - 1)
    return running, time.monotonic() - begin


def _wait(server: Server, home: Path, running: Running) -> None:
    where = server.asked(folder(home, server), running.port)
    process.wait_ready(server.name, running, lambda: server.check(where), _log(home, server))


def _down(server: Server, home: Path) -> None:
    for pid_file in (_pid_file(home, server), folder(home, server) / PID_FILE):  # that of one which others started
        running = process.read(pid_file)
        if running and running.alive():
            process.stop(running, server.stop_signal)
            say(f"{server.name}: stopped")
        pid_file.unlink(missing_ok=True)


def _status(server: Server, home: Path) -> Status:
    running = process.read(_pid_file(home, server))
    if not running or not running.alive():
        return Status(server.name, None, None, False, None)
    try:
        server.check(server.asked(folder(home, server), running.port))
        ready = True
    except Unavailable:
        ready = False
    return Status(server.name, running.pid, running.port, ready, running.memory())


@contextmanager
def _only_one_at_a_time(home: Path) -> Iterator[None]:
    path = home / "run" / "stack.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        flock(lock, LOCK_EX)
        yield


def folder(home: Path, server: Server) -> Path:
    """Return where a server of `home` keeps its data."""
    return home / "data" / server.name


def _log(home: Path, server: Server) -> Path:
    return home / "logs" / f"{server.name}.log"


def _pid_file(home: Path, server: Server) -> Path:
    return home / "run" / f"{server.name}.pid"
