"""ClickHouse's engine (chDB 4) behind its HTTP protocol, held by `clickhouse_node`: its binary is in no package.

SQL, types, merges and formats are ClickHouse's own. What it has not: users (`default` without a password is the only
one), replicas, external tables; and what it does under load proves nothing. docker/compose.yaml has the real one.
"""

import http.client
import importlib.util
import sys
from pathlib import Path
from urllib.parse import urlsplit

import millrace
from millrace.errors import ConfigError, Unavailable
from millrace.stack import process
from millrace.stack.process import Launch
from millrace.stack.server import LOOPBACK, Server

PID_FILE = "server.json"  # in the folder of the data: who owns it, whoever started that
TIMEOUT = 10  # seconds for a server that takes the connection and says nothing
MISSING = "the local ClickHouse needs chDB: `uv sync --extra clickhouse`, or set MILLRACE_CLICKHOUSE_URL to a server"


def prepare(folder: Path, port: int) -> Launch:
    """End the process that owns the data because somebody needed it once, and return the server's command line."""
    owner = process.read(folder / PID_FILE)
    if owner and owner.alive():
        process.stop(owner)
    return launch(folder, port)


def launch(folder: Path, port: int, idle: float = 0) -> Launch:
    """Return the command line of the process that owns `folder`; raises ConfigError without chDB.

    With `idle` it ends when nobody has asked for so many seconds.
    """
    if importlib.util.find_spec("chdb") is None:
        raise ConfigError(MISSING)
    folder.mkdir(parents=True, exist_ok=True)
    ours = str(Path(millrace.__file__).parents[1])  # the very millrace that asks, wherever it was found
    command = [sys.executable, "-m", "millrace.stack.clickhouse_node", str(folder), str(port), str(idle)]
    return Launch(command, {"PYTHONPATH": ours, "TZ": "UTC"})


def address(folder: Path, port: int) -> str:
    """Return the URL."""
    return f"http://{LOOPBACK}:{port}"


def check(url: str) -> None:
    """Ask for 1; raises Unavailable until the server answers."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT)  # an import less to wait for
    try:
        connection.request("POST", "/", b"SELECT 1")
        answer = connection.getresponse().read()
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"ClickHouse at {url}: {type(error).__name__}: {error}") from error
    finally:
        connection.close()
    if answer != b"1\n":
        raise Unavailable(f"ClickHouse at {url}: it answers {answer[:300]!r}")


CLICKHOUSE = Server("clickhouse", "MILLRACE_CLICKHOUSE_URL", 8123, prepare, address, check)
