import platform
import re
import socket
from pathlib import Path

import pytest

from millrace import config, stack
from millrace.errors import ConfigError
from millrace.stack import connect, servers
from millrace.stack.connect import CONNECT
from millrace.stack.kafka import KAFKA
from millrace.stack.server import PORTS, free_port, is_free

OURS = "MILLRACE_POSTGRES_URL=postgresql+psycopg://millrace:p@127.0.0.1:1/millrace\n"


def test_an_unknown_server_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="no such server: oracle, db2; there are kafka, postgres, mysql, elasticsearch, hdfs"
    ):
        stack.up(["kafka", "oracle", "db2"], config.load(home=tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("system", "machine"), [("Darwin", "arm64"), ("Linux", "aarch64"), ("Windows", "AMD64")])
def test_another_platform_is_told_so(
    system: str, machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(ConfigError, match=f"on Linux x86_64 only, this is {system} {machine}: use docker/compose.yaml"):
        stack.up(["kafka"], config.load(home=tmp_path))


def test_down_and_status_without_anything_running(tmp_path: Path) -> None:
    settings = config.load(home=tmp_path)
    stack.down(settings, data=True)
    assert [(row.name, row.pid, row.ready) for row in stack.status(settings)] == [
        ("kafka", None, False),
        ("postgres", None, False),
        ("mysql", None, False),
        ("elasticsearch", None, False),
        ("hdfs", None, False),
        ("mongodb", None, False),
        ("clickhouse", None, False),
        ("connect", None, False),
        ("registry", None, False),
        ("ollama", None, False),
    ]


@pytest.mark.parametrize(
    ("lines", "given", "needed"),
    [
        ("", {}, ["kafka", "postgres"]),
        (f"MILLRACE_KAFKA_BOOTSTRAP=127.0.0.1:1\n{OURS}", {}, ["kafka", "postgres"]),  # they may have stopped since
        (OURS, {"MILLRACE_KAFKA_BOOTSTRAP": "broker.example:9092"}, ["postgres"]),
        (OURS, {"MILLRACE_CDC_SOURCE_URL": "postgresql+psycopg://u:p@db.example/d"}, ["kafka"]),
        ("", {"MILLRACE_POSTGRES_URL": "postgresql+psycopg://u:p@db.example/d"}, ["kafka"]),
    ],
)
def test_what_a_server_needs_comes_with_it_unless_the_settings_name_another(
    lines: str, given: dict[str, str], needed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "servers.env").write_text(lines)
    for key, value in given.items():
        monkeypatch.setenv(key, value)
    assert servers._needed([CONNECT], config.load(home=tmp_path)) == needed
    assert servers._needed([KAFKA], config.load(home=tmp_path)) == []


def test_what_runs_takes_the_place_of_what_the_settings_named(tmp_path: Path) -> None:
    (tmp_path / "servers.env").write_text(f"{OURS}MILLRACE_KAFKA_BOOTSTRAP=127.0.0.1:9092\n")
    named = config.load(home=tmp_path, kafka_bootstrap="yours:9092", postgres_url="postgresql+psycopg://u:p@yours/d")
    found = servers.reaching(named, ["kafka", "postgres"])
    assert found.kafka_bootstrap == "127.0.0.1:9092"
    assert found.store_url("postgres") == OURS.strip().partition("=")[2]
    assert "p@" not in repr(found)


def test_a_server_stops_before_those_that_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them it would wait for them until it is killed."""
    stopped: list[str] = []
    monkeypatch.setattr(servers, "_down", lambda server, _home: stopped.append(server.name))
    stack.down(config.load(home=tmp_path))
    assert stopped[0] == "connect" and {"kafka", "postgres"} <= set(stopped[1:])


def test_kafka_connect_is_told_the_brokers_and_the_source_and_writes_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "once", lambda *_: tmp_path)
    monkeypatch.setattr(connect, "fetch", lambda _: [])
    monkeypatch.setenv("MILLRACE_CDC_SOURCE_URL", "postgresql+psycopg://u:hunter2@db.example/d")
    told = connect.told(config.load(home=tmp_path))
    assert told["CONNECT_BOOTSTRAP"] == "127.0.0.1:9092" and told["CDC_SOURCE_PASSWORD"] == "hunter2"
    launch = connect.prepare(tmp_path / "connect", 8083)
    written = (tmp_path / "connect" / "worker.properties").read_text()
    assert "hunter2" not in f"{launch}{written}" and "listeners=http://127.0.0.1:8083" in written
    allowed = next(line for line in written.splitlines() if "allowlist" in line).partition("=")[2]
    assert all(re.fullmatch(allowed, name) for name in told) and not re.fullmatch(allowed, "PATH")


def test_a_stale_pid_file_is_no_server(tmp_path: Path) -> None:
    pid_file = tmp_path / "run" / "kafka.pid"
    pid_file.parent.mkdir()
    pid_file.write_text('{"pid": 1, "started": -1, "port": 9092}')  # pid 1 runs, but did not start then
    settings = config.load(home=tmp_path)
    assert stack.status(settings)[0].pid is None
    stack.down(settings)
    assert not pid_file.exists()


def test_the_first_free_port_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = taken.getsockname()[1]
        free = free_port()
        assert free not in (0, busy)
        assert free_port(busy, free) == free
        assert free_port(busy) not in (0, busy)
        assert {free_port() in PORTS for _ in range(50)} == {True}
        assert is_free(free) and not is_free(busy)
