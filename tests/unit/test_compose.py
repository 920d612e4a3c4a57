"""docker/compose.yaml as a file: what Docker would start is pinned, checked by a query, and only local."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace.stack import lock
from millrace.stack.server import Server
from millrace.stack.servers import SERVERS

DOCKER = Path(__file__).parents[2] / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
LASTING = {name: service for name, service in COMPOSE["services"].items() if "profiles" not in service}
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
        assert re.fullmatch(r"[a-z./]+:\d+\.\d+(\.\d+)?", service["image"])


@each_service
def test_a_query_tells_health(service: dict[str, Any]) -> None:
    check = service["healthcheck"]
    assert re.search(r"SELECT 1|--list|_cluster/health\?|/api/status|/jmx\?", " ".join(check["test"]))
    assert {"interval", "timeout", "retries"} <= set(check)


@each_service
def test_data_is_in_a_named_volume(service: dict[str, Any]) -> None:
    for volume in service["volumes"]:
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


def test_every_variable_is_in_the_example() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", (DOCKER / "compose.yaml").read_text()))
    example = (DOCKER / ".env.example").read_text()
    assert used and {f"{key}={default}" for key, default in used} <= set(example.splitlines())
    for server in SERVERS.values():
        assert all(f"# {key}=" in example for key in server.keys)
