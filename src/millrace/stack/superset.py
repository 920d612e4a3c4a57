"""Superset in a Python environment of its own; what it shows is described by docker/superset."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import httpx

from millrace.errors import ConfigError, Unavailable
from millrace.logs import say
from millrace.stack import sql
from millrace.stack.artifacts import cache, only_one
from millrace.stack.process import ENVIRONMENT, Launch, tail
from millrace.stack.server import LOOPBACK, Server

DESCRIBED = Path(__file__).parents[3] / "docker" / "superset"
PINS = DESCRIBED / "constraints.txt"
PYTHON = "3.11"
TIMEOUT = 10.0  # seconds for an answer
THREADS = 8  # a dashboard asks for all of its charts at once
FIRST = "superset: the first start takes 1 to 10 minutes, most of them for 700 MB of packages; later ones less than one"
ACCOUNTS = ("admin", "viewer")


def install() -> Path:
    """Return the environment with the pinned Superset, installed once for the user by `uv`.

    Raises ConfigError without uv, Unavailable when the packages cannot be had.
    """
    home = cache() / "superset" / hashlib.sha256(PINS.read_bytes()).hexdigest()[:16]
    done = home / "complete"
    if not done.exists():
        with only_one("superset"):
            if not done.exists():  # no other process was faster
                say("superset: its packages")
                python = str(home / "bin" / "python")
                _uv("venv", "--quiet", "--clear", "--python", PYTHON, str(home))
                _uv("pip", "install", "--compile-bytecode", "--no-deps", "--python", python, "--requirement", str(PINS))
                done.touch()
    return home


def _uv(*arguments: str) -> None:
    program = shutil.which("uv")
    if program is None:
        raise ConfigError(
            "Superset is installed by uv, which is not on PATH: install it, then run `make superset` again"
        )
    if subprocess.run([program, *arguments], check=False).returncode:
        raise Unavailable("Superset was not installed: what uv said stands above; `make superset` goes on from there")


def password(folder: Path, account: str) -> str:
    """Return a password, generated once, readable by us only.

    `account` is Superset's `admin` or `viewer`; `mysql` is the account of MySQL that Superset reads as.
    """
    return sql.password(folder / account)


def provision(folder: Path, mysql_url: str, *, note: str) -> None:
    """Make tables, accounts, connection and dashboards as docker/superset describes them, whatever was changed there.

    `note`, Markdown, ends what each dashboard says of itself.
    Raises Unavailable with the end of the log where Superset refuses.
    """
    secrets = {f"SUPERSET_{name.upper()}_PASSWORD": password(folder, name) for name in ACCOUNTS}
    told = secrets | {"SUPERSET_MYSQL_URL": mysql_url, "SUPERSET_NOTE": note}
    if not (folder / "tables").exists():
        say(FIRST)
    command = [str(install() / "bin" / "python"), str(DESCRIBED / "provision.py")]
    log = folder / "provision.log"
    known = ENVIRONMENT | _environment(folder) | told
    with (
        log.open("w") as out,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=out, text=True, env=known) as steps,
    ):
        try:
            for line in steps.stdout or ():
                if line.startswith("superset: "):
                    say(line.rstrip())
        except KeyboardInterrupt:
            steps.kill()  # the next start begins anew what is not whole
            raise
    if steps.returncode:
        raise Unavailable(f"Superset cannot be prepared; the end of {log}:\n{tail(log)}")


def _environment(folder: Path) -> dict[str, str]:
    return {
        "SUPERSET_HOME": str(folder),
        "SUPERSET_CONFIG_PATH": str(DESCRIBED / "superset_config.py"),
        "TZ": "UTC",  # "the last hour" goes by the clock of the process
    }


def prepare(folder: Path, port: int) -> Launch:
    """Return the command line of a Superset that `provision` has prepared."""
    where = ["--bind", f"{LOOPBACK}:{port}", "--worker-class", "gthread", "--threads", str(THREADS), "--timeout", "120"]
    return Launch([str(install() / "bin" / "gunicorn"), *where, "superset.app:create_app()"], _environment(folder))


def address(_folder: Path, port: int) -> str:
    """Return where people find it."""
    return f"http://localhost:{port}"


def check(url: str) -> None:
    """Ask for the page on which people log in; raises Unavailable while it is not there."""
    try:
        httpx.get(f"{url.replace('localhost', LOOPBACK)}/login/", timeout=TIMEOUT).raise_for_status()
    except httpx.HTTPError as error:
        raise Unavailable(f"{url}: {type(error).__name__}: {error}") from error


SUPERSET = Server("superset", "MILLRACE_SUPERSET_URL", 8088, prepare, address, check)
