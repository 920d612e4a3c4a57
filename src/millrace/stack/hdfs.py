"""HDFS 3.5.0: a NameNode and a DataNode, held together by `hdfs_nodes`, without security on the loopback address."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

import httpx

from millrace.errors import Unavailable
from millrace.stack import java
from millrace.stack.fetch import fetch
from millrace.stack.process import Launch
from millrace.stack.server import LOOPBACK, Server, free_port

HOST = "localhost"  # as the DataNode calls itself, so that clients and nodes agree
WEB_PORT = 9870
HEAP = "256m"
TIMEOUT = 10  # seconds for a server that takes the connection and says nothing
NAMENODE = "org.apache.hadoop.hdfs.server.namenode.NameNode"
DATANODE = "org.apache.hadoop.hdfs.server.datanode.DataNode"
WEBAPPS = ("hdfs", "datanode", "static")  # empty: without the folders the NameNode dies
STATE = {"qry": "Hadoop:service=NameNode,name=FSNamesystemState"}
ROOM = 64 * 1024**2  # bytes that the disk keeps free of blocks
LOGGING = """\
log4j.rootLogger=WARN,console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %-5p %c{1} %m%n
# Native libraries are part of the distribution alone.
log4j.logger.org.apache.hadoop.util.NativeCodeLoader=ERROR
"""


def prepare(folder: Path, port: int) -> Launch:
    """Write the settings, format the NameNode once and return the command line that holds both nodes."""
    config = folder / "config"
    for name in WEBAPPS:
        (config / "webapps" / name).mkdir(parents=True, exist_ok=True)
    (config / "log4j.properties").write_text(LOGGING)
    (config / "core-site.xml").write_text(_xml({"fs.defaultFS": f"hdfs://{HOST}:{port}"}))
    known = int(web(folder).rpartition(":")[2]) if (config / "hdfs-site.xml").exists() else WEB_PORT
    (config / "hdfs-site.xml").write_text(_xml(_settings(folder, free_port(known, WEB_PORT))))
    command = [str(java.binary()), f"-Xmx{HEAP}", "-XX:+UseSerialGC", "-cp", _class_path(config)]
    if not (folder / "name" / "current" / "VERSION").exists():
        _format(folder, command)
    return Launch([sys.executable, "-m", "millrace.stack.hdfs_nodes", NAMENODE, DATANODE, *command])


def address(folder: Path, port: int) -> str:
    """Return the URL of the archive."""
    return f"hdfs://{HOST}:{port}/millrace"


def web(folder: Path) -> str:
    """Return the URL of the NameNode's HTTP side, which WebHDFS is part of."""
    settings = ElementTree.parse(folder / "config" / "hdfs-site.xml")
    found = {entry.findtext("name"): entry.findtext("value") for entry in settings.iter("property")}
    return f"http://{found['dfs.namenode.http-address']}"


def check(url: str) -> None:
    """Ask the NameNode for its state; raises Unavailable until a DataNode is there and it takes writes."""
    try:
        answer = httpx.get(f"{url}/jmx", params=STATE, timeout=TIMEOUT, trust_env=False)
        [state] = answer.raise_for_status().json()["beans"]
        live, phase = state["NumLiveDataNodes"], state["FSState"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise Unavailable(f"HDFS at {urlsplit(url).netloc}: {type(error).__name__}: {error}") from error
    if live < 1 or phase != "Operational":
        raise Unavailable(f"HDFS at {urlsplit(url).netloc}: {phase}, {live} DataNodes")


def _settings(folder: Path, web_port: int) -> dict[str, str]:
    addresses = {
        "dfs.namenode.http-address": f"{LOOPBACK}:{web_port}",
        **{f"dfs.datanode.{each}": f"{LOOPBACK}:0" for each in ("address", "http.address", "ipc.address")},
    }
    return addresses | {
        "dfs.namenode.rpc-bind-host": LOOPBACK,
        "dfs.namenode.name.dir": (folder / "name").as_uri(),
        "dfs.datanode.data.dir": (folder / "data").as_uri(),
        "dfs.datanode.hostname": HOST,
        "dfs.client.use.datanode.hostname": "true",
        "dfs.namenode.datanode.registration.ip-hostname-check": "false",
        "dfs.namenode.secondary.http-address": f"{LOOPBACK}:0",
        "dfs.namenode.safemode.extension": "0",
        "dfs.namenode.heartbeat.recheck-interval": "10000",
        "dfs.datanode.du.reserved": str(ROOM),
        "dfs.replication": "1",
        "dfs.permissions.enabled": "false",  # whoever reaches the loopback address is at home
        "dfs.webhdfs.enabled": "true",
    }


def _xml(settings: dict[str, str]) -> str:
    root = ElementTree.Element("configuration")
    for name, value in settings.items():
        entry = ElementTree.SubElement(root, "property")
        ElementTree.SubElement(entry, "name").text = name
        ElementTree.SubElement(entry, "value").text = value
    return ElementTree.tostring(root, encoding="unicode")


def _class_path(config: Path) -> str:
    return os.pathsep.join([str(config), *(str(jar) for jar in fetch("hdfs"))])


def _format(folder: Path, command: list[str]) -> None:
    for name in ("name", "data"):  # blocks of a NameNode that never was formatted belong to nobody
        shutil.rmtree(folder / name, ignore_errors=True)
    done = subprocess.run(
        [*command, NAMENODE, "-format", "-force", "-nonInteractive"],
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
    )
    if done.returncode:
        raise Unavailable(f"HDFS cannot format its NameNode: {done.stderr.strip()[-2000:]}")


HDFS = Server("hdfs", "MILLRACE_ARCHIVE_URL", 9000, prepare, address, check, web=("MILLRACE_WEBHDFS_URL", web))
