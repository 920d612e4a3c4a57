"""docker/compose.yaml as a file: what Docker would start is pinned, checked by a query, and only local."""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace.cdc import address, connector, demo
from millrace.stack import lock, ollama
from millrace.stack.server import Server
from millrace.stack.servers import SERVERS

DOCKER = Path(__file__).parents[2] / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
LASTING = {name: each for name, each in COMPOSE["services"].items() if name in SERVERS or "profiles" not in each}
each_service = pytest.mark.parametrize("service", LASTING.values(), ids=LASTING)


def test_has_the_servers_of_millrace_up() -> None:
    assert set(LASTING) >= set(SERVERS)


@each_service
def test_ports_are_on_the_loopback_address(service: dict[str, Any]) -> None:
    assert service["ports"]
    for port in service["ports"]:
        assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z_]+:-\d+\}:\d+", port)


def test_images_are_pinned_to_a_release() -> None:
    for service in COMPOSE["services"].values():
        assert re.fullmatch(r"[a-z./-]+:\d+\.\d+(\.\d+)?(\.Final)?", service["image"])


@each_service
def test_a_query_tells_health(service: dict[str, Any]) -> None:
    check = service["healthcheck"]
    assert re.search(
        r"SELECT 1|--list|_cluster/health\?|/health|/api/status|/jmx\?|ollama list", " ".join(check["test"])
    )
    assert {"interval", "timeout", "retries"} <= set(check)


@each_service
def test_data_is_in_a_named_volume(service: dict[str, Any]) -> None:
    writable = [volume for volume in service["volumes"] if not volume.endswith(":ro")]
    assert writable
    for volume in writable:
        assert volume.partition(":")[0] in COMPOSE["volumes"]


@pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
def test_the_usual_port_is_the_default(server: Server) -> None:
    port, *_ = COMPOSE["services"][server.name]["ports"]
    assert port.endswith(f":-{server.usual_port}}}:{server.usual_port}")


def test_kafka_says_to_both_sides_where_it_is_and_takes_no_future_dates() -> None:
    kafka = COMPOSE["services"]["kafka"]["environment"]
    assert kafka["KAFKA_ADVERTISED_LISTENERS"] == "HOST://127.0.0.1:${KAFKA_PORT:-9092},INSIDE://kafka:29092"
    assert kafka["KAFKA_LOG_MESSAGE_TIMESTAMP_AFTER_MAX_MS"] == 3_600_000
    assert kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_postgres_decodes_logically() -> None:
    assert "wal_level=logical" in COMPOSE["services"]["postgres"]["command"]


def test_connect_has_the_release_and_the_variables_of_millrace_up() -> None:
    service = COMPOSE["services"]["connect"]
    assert service["image"].endswith(f":{lock.DEBEZIUM}")
    assert COMPOSE["services"]["registry"]["image"].endswith(f":{lock.REGISTRY}")
    told = service["environment"]
    assert {key for key in told if key.startswith("CDC_")} == set(address.variables("postgresql+psycopg://u:p@h/d"))
    assert told["CONNECT_CONFIG_PROVIDERS_ENV_PARAM_ALLOWLIST_PATTERN"] == address.ALLOWED
    assert all(re.fullmatch(address.ALLOWED, name) for name in re.findall(r"\$\{env:(\w+)\}", connector.as_file()))
    assert told["CONNECT_TOPIC_CREATION_ENABLE"] == "true"


def test_the_connector_that_is_registered_by_hand_is_that_of_cdc_register() -> None:
    """`python -m millrace.cdc.connector > docker/debezium/postgres-cdc.json` makes it."""
    assert (DOCKER / "debezium" / "postgres-cdc.json").read_text() == connector.as_file()


def test_the_seed_that_is_run_by_hand_is_that_of_cdc_register() -> None:
    """`python -m millrace.cdc.demo > docker/debezium/seed.sql` makes it."""
    assert (DOCKER / "debezium" / "seed.sql").read_text() == demo.as_file()


def test_mysql_gets_the_accounts_with_the_passwords_of_the_example() -> None:
    """The entrypoint sources the script, which pipes SQL into a function of the entrypoint's: here `cat`."""
    mounts = dict(volume.split(":")[:2] for volume in COMPOSE["services"]["mysql"]["volumes"])
    first = {path for path, inside in mounts.items() if inside.startswith("/docker-entrypoint-initdb.d/")}
    [script] = first - {"./mysql/tables.sql"}
    text = (DOCKER / script).read_text().replace(mounts["./mysql/grants.sql"], str(DOCKER / "mysql" / "grants.sql"))
    secrets = {"MYSQL_PASSWORD": r"a/b&c\d", "MYSQL_VIEWER_PASSWORD": "viewer", "MYSQL_KEEPER_PASSWORD": "keeper"}
    assert set(secrets) <= set(COMPOSE["services"]["mysql"]["environment"])
    command = ["bash", "-euc", f"docker_process_sql() {{ cat; }}; {text}"]
    sql = subprocess.run(command, env={"PATH": "/usr/bin:/bin", **secrets}, capture_output=True, text=True, check=True)
    for name, secret in zip(("millrace", "viewer", "keeper"), secrets.values(), strict=True):
        assert f"CREATE USER IF NOT EXISTS '{name}'@'%' IDENTIFIED BY '{secret}';" in sql.stdout
    assert "-PASSWORD" not in sql.stdout and not os.access(DOCKER / script, os.X_OK)


def test_ollama_is_of_the_release_of_make_and_comes_when_it_is_named() -> None:
    service = COMPOSE["services"]["ollama"]
    assert service["image"] == f"ollama/ollama:{ollama.VERSION}" and service["profiles"] == ["sentiment"]
    assert int(service["environment"]["OLLAMA_NUM_PARALLEL"]) == ollama.PARALLEL


def test_elasticsearch_and_kibana_are_of_the_release_of_millrace_up() -> None:
    services = COMPOSE["services"]
    versions = {services[name]["image"].rpartition(":")[2] for name in ("elasticsearch", "kibana", "dashboards")}
    assert versions == {lock.ELASTICSEARCH}


def test_dashboards_are_imported_once_kibana_is_there_and_by_a_service_that_ends() -> None:
    service = COMPOSE["services"]["dashboards"]
    assert service["depends_on"] == {"kibana": {"condition": "service_healthy"}}
    assert service["profiles"] and "restart" not in service and "ports" not in service
    [mount] = service["volumes"]
    folder, inside, mode = mount.split(":")
    assert mode == "ro" and list((DOCKER / folder).glob("*.ndjson"))
    assert service["entrypoint"][1] == f"{inside}/import.sh" and (DOCKER / folder / "import.sh").exists()


def test_superset_prepares_itself_and_reads_as_the_viewer_of_mysql() -> None:
    service, mysql = COMPOSE["services"]["superset"], COMPOSE["services"]["mysql"]
    assert service["depends_on"] == {"mysql": {"condition": "service_healthy"}}
    secret = mysql["environment"]["MYSQL_VIEWER_PASSWORD"]
    told = service["environment"]
    assert told["SUPERSET_MYSQL_URL"] == f"mysql+pymysql://viewer:{secret}@mysql/millrace?charset=utf8mb4"
    assert "./superset:/millrace:ro" in service["volumes"]
    for inside in re.findall(r"/millrace/\S+\.py", f"{service['command']} {told}"):
        assert (DOCKER / service["build"] / Path(inside).name).exists()
    read = set(re.findall(r'environ\["(SUPERSET_\w+)"\]', (DOCKER / "superset" / "provision.py").read_text()))
    passwords = {"SUPERSET_ADMIN_PASSWORD", "SUPERSET_VIEWER_PASSWORD"}
    assert read | passwords <= set(told) and told["TZ"] == "UTC"
    assert "make superset" not in told["SUPERSET_NOTE"]  # which would start another MySQL


def test_the_pipeline_of_tweets_runs_in_containers_whose_image_has_what_it_copies() -> None:
    app, viewer = COMPOSE["services"]["app"], COMPOSE["services"]["mongo-express"]
    assert app["profiles"] == viewer["profiles"] == ["tweets"]
    assert app["environment"]["MILLRACE_KAFKA_BOOTSTRAP"] == "kafka:29092"
    assert set(app["depends_on"]) == {"kafka", "mongodb"}
    root, image = DOCKER.parent, (DOCKER.parent / app["build"]["dockerfile"]).read_text()
    copied = {name for line in re.findall(r"^COPY (.*) \S+$", image, re.MULTILINE) for name in line.split()}
    allowed = {line.removeprefix("!") for line in (root / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert copied == allowed and all((root / name).exists() for name in copied)
    [version] = re.findall(r"^UV_VERSION := (\S+)$", (root / "Makefile").read_text(), re.MULTILINE)
    assert f"uv=={version} " in image
    assert app["image"] == f"millrace/app:{importlib.metadata.version('millrace')}"


DOCKERED = ["docker_build", "docker_up", "docker_down", "docker_clean", "remote_collection_stream",
            "remote_aggregation_stream"]  # fmt: skip


@pytest.mark.parametrize("target", DOCKERED)
def test_what_make_runs_of_docker(target: str, tmp_path: Path) -> None:
    """By a program of that name which writes down what it is told: services, commands and options are there."""
    fake = tmp_path / "docker"
    fake.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path / "told"}\n')
    fake.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["make", target], cwd=DOCKER.parent, env=environment, check=True, capture_output=True)
    told = (tmp_path / "told").read_text()
    start = "compose -f docker/compose.yaml --profile tweets "
    expected = {
        "docker_build": [f"{start}build app"],
        "docker_up": [f"{start}up --wait kafka mongodb mongo-express app"],
        "docker_down": [f"{start}down"],
        "docker_clean": [f"{start}--profile dashboards --profile sentiment down --volumes --remove-orphans",
                         f"image rm --force {COMPOSE['services']['app']['image']}"],
        "remote_collection_stream": [f"{start}exec app millrace ingest tweets --url ws://localhost:5555"],
        "remote_aggregation_stream": [f"{start}exec app millrace run cases --window 20s --sink mongodb"],
    }  # fmt: skip
    assert [line.strip() for line in told.splitlines()] == expected[target]
    for line in told.splitlines():
        if "exec app millrace" in line:  # what the container runs is a command of today's
            words = [*line.partition("exec app millrace ")[2].split(), "--help"]
            subprocess.run([sys.executable, "-m", "millrace", *words], check=True, capture_output=True)


def test_secrets_come_from_the_environment() -> None:
    """The defaults are those of the example; Superset makes its own key in its volume."""
    told = [pair for service in COMPOSE["services"].values() for pair in service.get("environment", {}).items()]
    secrets = {key: value for key, value in told if re.search("PASSWORD|SECRET|TOKEN|://.*@", f"{key} {value}")}
    assert secrets.pop("MYSQL_RANDOM_ROOT_PASSWORD") == "yes"
    assert {"MYSQL_PASSWORD", "SUPERSET_ADMIN_PASSWORD", "SUPERSET_MYSQL_URL"} <= set(secrets)
    for value in secrets.values():
        assert re.fullmatch(r"([a-z+]+://[a-z]+:)?\$\{[A-Z_]+_PASSWORD:-[a-z]+\}(@.*)?", value)


def test_every_variable_is_in_the_example() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", (DOCKER / "compose.yaml").read_text()))
    example = (DOCKER / ".env.example").read_text()
    assert used and {f"{key}={default}" for key, default in used} <= set(example.splitlines())
    for server in SERVERS.values():
        assert all(f"# {key}=" in example for key in server.keys)
