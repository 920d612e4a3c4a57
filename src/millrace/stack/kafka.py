"""Kafka 4.3.1: one node, KRaft, broker and controller in one process."""

import os
import socket
import subprocess
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from dotenv import dotenv_values
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from millrace.errors import Unavailable
from millrace.stack import java
from millrace.stack.fetch import fetch
from millrace.stack.process import Launch
from millrace.stack.server import LOOPBACK, Server, free_port

HEAP = "512m"
TIMEOUT = 10  # seconds for a broker that takes the connection and says nothing
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
log.dirs={data}
auto.create.topics.enable=false
# An event dated in the future would move watermarks and drop what is honest.
log.message.timestamp.after.max.ms=3600000
# A dead transaction is cleaned up soon, so that readers of committed records go on.
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.initial.rebalance.delay.ms=0
# One node, a modest heap.
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=3
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
log.cleaner.dedupe.buffer.size=16777216
"""
LOGGING = """\
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ISO8601} %-5p %c{1} %m%n
logger.server.name=kafka.server
logger.server.level=INFO
"""


def prepare(folder: Path, port: int) -> Launch:
    """Write the settings, format the storage once and return the broker's command line."""
    folder.mkdir(parents=True, exist_ok=True)
    properties = folder / "server.properties"
    settings = PROPERTIES.format(host=LOOPBACK, port=port, controller=free_port(), data=folder / "log")
    properties.write_text(settings)
    (folder / "log4j2.properties").write_text(LOGGING)
    if not (folder / "log" / "meta.properties").exists():
        _format(folder, properties)
    return Launch([*_java(folder), f"-Xmx{HEAP}", "kafka.Kafka", str(properties)])


def address(folder: Path, port: int) -> str:
    """Return the bootstrap address."""
    return f"{LOOPBACK}:{port}"


def check(bootstrap: str) -> None:
    """Ask the broker for its topics; raises Unavailable while it does not answer."""
    host, _, port = bootstrap.rpartition(":")
    try:
        socket.create_connection((host, int(port)), TIMEOUT).close()  # refused at once: the client would wait
        limits = {"bootstrap_timeout_ms": TIMEOUT * 1000, "request_timeout_ms": TIMEOUT * 1000}
        admin = KafkaAdminClient(bootstrap_servers=bootstrap, **limits)
        try:
            admin.list_topics()
        finally:
            admin.close()
    except (OSError, KafkaError) as error:
        raise Unavailable(f"Kafka at {bootstrap}: {type(error).__name__}: {error}") from error


def cluster(folder: Path) -> str | None:
    """Return the id of the cluster whose data lies in `folder`, None where there is none."""
    return dotenv_values(folder / "log" / "meta.properties").get("cluster.id")


def _java(folder: Path) -> list[str]:
    jars = os.pathsep.join(str(jar) for jar in fetch("kafka"))
    logging = f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}"
    return [str(java.binary()), logging, "-cp", jars]


def _format(folder: Path, properties: Path) -> None:
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    quick = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    command = [
        *_java(folder),
        *quick,
        "kafka.tools.StorageTool",
        "format",
        f"--cluster-id={cluster}",  # in one word, for an id may begin with a dash
        "-c",
        str(properties),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"Kafka cannot format its storage in {folder}: {done.stderr.strip() or done.stdout.strip()}")


KAFKA = Server("kafka", "MILLRACE_KAFKA_BOOTSTRAP", 9092, prepare, address, check)
