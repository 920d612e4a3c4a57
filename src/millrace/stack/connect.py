"""Kafka Connect 4.3.1: one distributed worker with Debezium's connector for PostgreSQL."""

import os
import shutil
import zipfile
from pathlib import Path

import httpx

from millrace.cdc import address as source
from millrace.cdc.connector import AVRO
from millrace.config import Settings
from millrace.errors import Unavailable
from millrace.stack import java
from millrace.stack.fetch import fetch
from millrace.stack.process import Launch
from millrace.stack.server import LOOPBACK, Server
from millrace.stack.unpack import once, untar

HEAP = "512m"
TIMEOUT = 10  # seconds for a worker that takes the connection and says nothing
PROPERTIES = """\
bootstrap.servers=${{env:CONNECT_BOOTSTRAP}}
group.id=millrace-connect
listeners=http://{host}:{port}
rest.advertised.host.name={host}
plugin.path={plugins}
plugin.discovery=service_load
config.providers=env
config.providers.env.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider
config.providers.env.param.allowlist.pattern=CONNECT_BOOTSTRAP|{allowed}
# Those of a connector are its own; without schemas a value is as large as its data.
key.converter=org.apache.kafka.connect.json.JsonConverter
key.converter.schemas.enable=false
value.converter=org.apache.kafka.connect.json.JsonConverter
value.converter.schemas.enable=false
# Its own topics are made with as many replicas as the brokers make by default.
config.storage.topic=connect-configs
config.storage.replication.factor=-1
offset.storage.topic=connect-offsets
offset.storage.replication.factor=-1
offset.storage.partitions=3
status.storage.topic=connect-status
status.storage.replication.factor=-1
status.storage.partitions=3
# Topics of tables come with the settings of the connector, for brokers make none by themselves.
topic.creation.enable=true
# What is sent again after a crash, and what PostgreSQL keeps of its log, is of this time.
offset.flush.interval.ms=5000
# One worker has nobody to wait for.
scheduled.rebalance.max.delay.ms=0
"""
LOGGING = """\
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ISO8601} %-5p %c{1} %m%n
logger.debezium.name=io.debezium
logger.debezium.level=INFO
"""


def prepare(folder: Path, port: int) -> Launch:
    """Write the settings and return the worker's command line; connectors and offsets are in topics of Kafka."""
    folder.mkdir(parents=True, exist_ok=True)
    properties, logging = folder / "worker.properties", folder / "log4j2.properties"
    plugins = f"{once('debezium', untar)},{once('avro-converter', _install)}"
    properties.write_text(PROPERTIES.format(host=LOOPBACK, port=port, plugins=plugins, allowed=source.ALLOWED))
    logging.write_text(LOGGING)
    jars = os.pathsep.join(str(jar) for jar in fetch("kafka"))
    options = [f"-Xmx{HEAP}", "-XX:+UseSerialGC", "--enable-native-access=ALL-UNNAMED"]  # it loads lz4
    options += [f"-Dlog4j2.configurationFile={logging}", "-cp", jars]
    return Launch([str(java.binary()), *options, "org.apache.kafka.connect.cli.ConnectDistributed", str(properties)])


def told(settings: Settings) -> dict[str, str]:
    """Return the environment of the worker: the brokers, and the PostgreSQL that `${env:...}` in connectors names."""
    captured = source.variables(settings.cdc_source) if settings.cdc_source else {}
    return {"CONNECT_BOOTSTRAP": settings.kafka_bootstrap, **captured}


def address(folder: Path, port: int) -> str:
    """Return the URL of the REST interface."""
    return f"http://{LOOPBACK}:{port}"


def check(url: str) -> None:
    """Ask the worker for its health; raises Unavailable until it has read its topics and takes connectors."""
    try:
        httpx.get(f"{url}/health", timeout=TIMEOUT, trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        raise Unavailable(f"Kafka Connect at {url}: {type(error).__name__}: {error}") from error


def _install(jar: Path, folder: Path) -> None:
    """Put a jar of the converter to Avro into a folder, with the file by which Kafka Connect finds it."""
    (folder / "avro").mkdir(exist_ok=True)
    shutil.copy(jar, folder / "avro")
    with zipfile.ZipFile(folder / "avro" / "services.jar", "w") as services:
        services.writestr("META-INF/services/org.apache.kafka.connect.storage.Converter", AVRO)


CONNECT = Server(
    "connect",
    "MILLRACE_CONNECT_URL",
    8083,
    prepare,
    address,
    check,
    needs=(("kafka", "kafka_bootstrap"), ("postgres", "cdc_source")),
    told=told,
)
