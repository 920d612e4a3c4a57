"""PostgreSQL 18.1 with logical decoding, as a user without privileges even when root starts it."""

import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil

from millrace.errors import Unavailable
from millrace.stack import accounts, sql
from millrace.stack.process import PAUSE, Launch
from millrace.stack.server import LOOPBACK, Server
from millrace.stack.unpack import unpack

ORPHANS_END_WITHIN = 30.0  # seconds
OPTIONS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "wal_level": "logical",
    "max_replication_slots": "10",
    "max_wal_senders": "10",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def prepare(folder: Path, port: int) -> Launch:
    """Initialise the cluster and its database once and return the server's command line."""
    user = accounts.unprivileged()
    programs = unpack("postgres", "postgres-linux-x86_64.txz") / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for way in (programs, folder):
        accounts.open_way(way, user)
    cluster = folder / "cluster"
    if not cluster.exists():
        _initialise(programs, folder, cluster, user)
    _forget_crash(cluster)
    options = [f"--{name}={value}" for name, value in OPTIONS.items()]
    return Launch([str(programs / "postgres"), "-D", str(cluster), f"--port={port}", *options], user=user)


def address(folder: Path, port: int) -> str:
    """Return the SQLAlchemy URL."""
    return f"postgresql+psycopg://{sql.NAME}:{sql.password(folder)}@{LOOPBACK}:{port}/{sql.NAME}"


def _forget_crash(cluster: Path) -> None:
    """Remove the lock file of a server that was killed, once none of its processes is left.

    PostgreSQL takes a dead process that no init has waited for yet, as in some containers, for a live one.
    """
    lock = cluster / "postmaster.pid"
    deadline = time.monotonic() + ORPHANS_END_WITHIN
    while lock.exists() and time.monotonic() < deadline:
        if not any(one.info["cwd"] == str(cluster) for one in psutil.process_iter(["cwd"])):
            lock.unlink()
        time.sleep(PAUSE)


def _initialise(programs: Path, folder: Path, cluster: Path, user: str | None) -> None:
    fresh = folder / "cluster.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    secret = fresh.with_name("password.new")  # the server's account may read this copy
    secret.touch(0o600)
    secret.write_text(sql.password(folder))
    for path in (fresh, secret):
        accounts.give(path, user)
    try:
        authentication = ["--username", sql.NAME, "--pwfile", str(secret), "--auth", "scram-sha-256"]
        locale = [
            "--encoding",
            "UTF8",
            "--locale-provider",
            "builtin",
            "--builtin-locale",
            "C.UTF-8",
            "--locale",
            "C",
            "--no-instructions",
        ]
        _run([str(programs / "initdb"), "-D", str(fresh), *authentication, *locale], user)
        _run(
            [str(programs / "postgres"), "--single", "-D", str(fresh), "postgres"],
            user,
            f"CREATE DATABASE {sql.NAME}",
        )
    finally:
        secret.unlink()
    fresh.rename(cluster)


def _run(command: list[str], user: str | None, text: str = "") -> None:
    identity = accounts.identity(user)
    done = subprocess.run(command, input=text, capture_output=True, text=True, cwd="/", check=False, **identity)
    if done.returncode:
        raise Unavailable(f"PostgreSQL cannot initialise its data: {done.stderr.strip() or done.stdout.strip()}")


POSTGRES = Server("postgres", "MILLRACE_POSTGRES_URL", 5432, prepare, address, sql.check, signal.SIGINT)
