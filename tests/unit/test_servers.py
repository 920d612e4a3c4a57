import platform
import socket
from pathlib import Path

import pytest

from millrace import config, stack
from millrace.errors import ConfigError
from millrace.stack.server import free_port, is_free


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
    ]


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
        assert is_free(free) and not is_free(busy)
