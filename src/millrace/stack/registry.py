"""Apicurio Registry 3.3.3: schemas by the interface of Confluent's registry, kept in a file of its own database."""

from pathlib import Path

import httpx

from millrace.errors import Unavailable
from millrace.stack import java
from millrace.stack.process import Launch
from millrace.stack.server import LOOPBACK, Server
from millrace.stack.unpack import once, untar

HEAP = "384m"
TIMEOUT = 10  # seconds for a server that takes the connection and says nothing


def prepare(folder: Path, port: int) -> Launch:
    """Return the server's command line; its data is in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "quarkus.http.host": LOOPBACK,
        "quarkus.http.port": str(port),
        "quarkus.management.host": LOOPBACK,
        "quarkus.management.port": "0",
        "quarkus.http.access-log.enabled": "false",
        "apicurio.storage.kind": "sql",
        "apicurio.storage.sql.kind": "h2",
        "apicurio.datasource.url": f"jdbc:h2:file:{folder / 'registry'}",
    }
    options = [f"-Xmx{HEAP}", "-XX:+UseSerialGC", *(f"-D{name}={value}" for name, value in settings.items())]
    return Launch([str(java.binary()), *options, "-jar", str(once("registry", untar) / "quarkus-run.jar")])


def address(folder: Path, port: int) -> str:
    """Return the URL of the interface that clients of Confluent's registry speak."""
    return f"http://{LOOPBACK}:{port}/apis/ccompat/v7"


def check(url: str) -> None:
    """Ask for the subjects; raises Unavailable while the registry does not answer."""
    try:
        httpx.get(f"{url}/subjects", timeout=TIMEOUT, trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        raise Unavailable(f"the registry at {url}: {type(error).__name__}: {error}") from error


REGISTRY = Server("registry", "MILLRACE_REGISTRY_URL", 8085, prepare, address, check)
