"""Servers that tests share: each is started once a session, on free ports, in a temporary home.

TEST_HOME=DIR keeps the home and its servers running from one test run to the next. Of two processes that run tests at
once, each has a home and servers of its own.
"""

import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
from pydantic import SecretStr
from pyspark.sql import SparkSession
from sqlalchemy import make_url

from millrace import config, explore, stack
from millrace.archive import files
from millrace.archive.files import Files
from millrace.config import Settings
from millrace.errors import ConfigError, Unavailable
from millrace.stack import ollama as ollama_server
from millrace.stack import ollama_build, servers
from millrace.stack.mariadb import MARIADB
from tests import tiny_model
from tests.capture import Capture, capturing
from tests.proxy import Proxy
from tests.support import Child, skip_without_pydoop

# The same examples in every run, so that a failure is a change's; `make faults` draws others, and more of them.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None)
hypothesis.settings.register_profile("more", max_examples=2_000, deadline=None, print_blob=True)
hypothesis.settings.load_profile("fixed")

KEPT = os.environ.get("TEST_HOME")
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")

for setting in [key for key in os.environ if key.startswith("MILLRACE_")]:
    del os.environ[setting]  # tests never touch the servers of who runs them

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # in a shell's background: what tests start would ignore it, too
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A MILLRACE_HOME for the session; what was started in it stops at the end."""
    if KEPT:
        kept = Path(KEPT, WORKER).resolve()
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    folder = Path(tempfile.mkdtemp(prefix="millrace-"))
    try:
        yield folder
    finally:
        stack.down(config.load(home=folder), data=True)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def kafka(home: Path) -> Settings:
    """Settings whose `kafka_bootstrap` is a broker with every topic of millrace.

    The other servers start after it, so that their settings name it, too, and not the broker of somebody else.
    """
    return _started("kafka", home)


@pytest.fixture(scope="session")
def postgres(kafka: Settings) -> Settings:
    """Those of `kafka`, whose `postgres_url` is an empty database."""
    return _started("postgres", kafka.home)


@pytest.fixture(scope="session")
def connect(postgres: Settings) -> Settings:
    """Those of `postgres`, whose `connect_url` is a worker of Kafka Connect without connectors."""
    return _started("connect", postgres.home)


@pytest.fixture(scope="session")
def registry(connect: Settings) -> Settings:
    """Those of `connect`, whose `registry_url` is a registry of schemas."""
    return _started("registry", connect.home)


@pytest.fixture(scope="session")
def mysql(kafka: Settings) -> Settings:
    """Those of `kafka`, whose `mysql_url` is an empty database."""
    return _started("mysql", kafka.home)


@pytest.fixture(scope="session")
def mariadb(home: Path) -> Iterator[str]:
    """The SQLAlchemy URL of an empty database on MariaDB, which `millrace up` does not know."""
    port = servers._up(MARIADB, home)
    yield MARIADB.address(servers.folder(home, MARIADB), port)
    if not KEPT:
        servers._down(MARIADB, home)


@pytest.fixture(scope="session")
def elasticsearch(kafka: Settings) -> Settings:
    """Those of `kafka`, whose `elasticsearch_url` is a node without indices."""
    return _started("elasticsearch", kafka.home)


@pytest.fixture(scope="session")
def mongodb(kafka: Settings) -> Settings:
    """Those of `kafka`, whose `mongodb_url` is a server without databases."""
    return _started("mongodb", kafka.home)


@pytest.fixture(scope="session")
def clickhouse(kafka: Settings) -> Settings:
    """Those of `kafka`, whose `clickhouse_url` is a server without tables."""
    return _started("clickhouse", kafka.home)


@pytest.fixture(scope="session")
def ollama(kafka: Settings) -> Settings:
    """Those of `kafka`, whose `ollama_url` is a server with the tiny model alone, built where the cache lacks it."""
    try:
        ollama_server.binary() or ollama_build.build()
        tiny_model.modelfile()
    except (ConfigError, Unavailable) as error:
        pytest.skip(f"not tried: {error}")
    with pytest.MonkeyPatch.context() as patch:  # not among the models of who runs the tests
        patch.setenv("OLLAMA_MODELS", str(kafka.home / "data" / "ollama" / "models"))
        settings = _started("ollama", kafka.home)
    tiny_model.load(settings.ollama_url)
    return settings


@pytest.fixture(scope="session")
def capture(postgres: Settings, clickhouse: Settings) -> Iterator[Capture]:
    """Debezium, which captures all tables of a database of their own; its settings name that, and `clickhouse`.

    The other tests' tables are in none of its publications, and it hears none of their signals.
    """
    settings = _started("connect", postgres.home)
    url = make_url(settings.cdc_source or "")
    with psycopg.connect(url.set(drivername="postgresql").render_as_string(False), autocommit=True) as source:
        if not source.execute("SELECT FROM pg_database WHERE datname = 'captured'").fetchall():
            source.execute("CREATE DATABASE captured")
    own = SecretStr(url.set(database="captured").render_as_string(False))
    settings = settings.model_copy(update={"cdc_source_url": own})
    with capturing(settings, message_key_columns=".*[.]keyless:b,a") as found:
        yield found


@pytest.fixture(scope="session")
def hdfs(kafka: Settings) -> Settings:
    """Those of `kafka`, whose `archive_url` is an empty HDFS."""
    return _started("hdfs", kafka.home)


@pytest.fixture(params=["file", "hdfs"])
def archive(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Files]:
    """An empty archive of its own, on a folder and on HDFS; MILLRACE_ARCHIVE_URL names it."""
    if request.param == "file":
        monkeypatch.setenv("MILLRACE_ARCHIVE_URL", str(tmp_path / "mein Archiv ü#1"))
        yield files.of(config.load())
        return
    skip_without_pydoop(request)
    settings = request.getfixturevalue("hdfs")
    monkeypatch.setenv("MILLRACE_ARCHIVE_URL", f"{settings.archive}/test-{uuid.uuid4().hex[:8]}")
    monkeypatch.setenv("MILLRACE_WEBHDFS_URL", settings.webhdfs_url)
    made = files.of(config.load())
    yield made
    made.remove("")


def _started(name: str, home: Path) -> Settings:
    stack.up([name], config.load(home=home))
    return config.load(home=home)


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkSession]:
    """A local session, set up as notebooks get it, that can write to Kafka."""
    session = explore.session()
    session.conf.set("spark.sql.shuffle.partitions", "2")
    yield session
    session.stop()


@pytest.fixture
def proxy() -> Iterator[Callable[[str, int], Proxy]]:
    """Make a proxy for (host, port); all are cut at the end of the test."""
    made: list[Proxy] = []

    def make(host: str, port: int) -> Proxy:
        made.append(Proxy((host, port)))
        return made[-1]

    yield make
    for each in made:
        each.cut()


@pytest.fixture
def begin() -> Iterator[Callable[..., Any]]:
    """Start a Child or a Job: begin(Job, "hashtags", settings, home, ...); all are killed at the end."""
    started: list[Child] = []

    def start(kind: type[Child], *arguments: Any, **env: str) -> Child:
        started.append(kind(*arguments, **env))
        return started[-1]

    yield start
    for each in started:
        each.kill()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the test that comes first the time to build Ollama and its model."""
    for item in items:
        if "ollama" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(3600), append=False)


CHROMIUM = "Chromium is not installed: apt-get install chromium chromium-driver"
OLLAMA = "not tried: `make ollama` could not build Ollama or the model here"

# Every skip that may happen, by pattern of its node id, and why. Any other makes the run fail.
ALLOWED_SKIPS = {
    "tests/live/test_recorded.py::*": "the recorded frames are no part of the project",
    "tests/unit/test_bluesky.py::test_recorded_frames*": "the recorded frames are no part of the project",
    "tests/live/test_recorded_mastodon.py::*": "the recorded statuses are no part of the project",
    "tests/unit/test_mastodon_feed.py::test_recorded_statuses*": "the recorded statuses are no part of the project",
    "tests/*/test_*.py::*single_file*hdfs*": "pydoop is built by `make pydoop` alone",
    "tests/*/test_*.py::*hdfs*single_file*": "pydoop is built by `make pydoop` alone",
    "tests/faults/test_archive.py::test_namenode*single_file*": "pydoop is built by `make pydoop` alone",
    "tests/live/test_ollama.py::*": OLLAMA,
    "tests/browser/test_access.py::*": CHROMIUM,
    "tests/browser/test_demo.py::*": CHROMIUM,
    "tests/browser/test_superset.py::*": CHROMIUM,
    "tests/browser/test_view.py::*": CHROMIUM,
    "tests/faults/test_*.py::test_a_full_disk*": "only root may mount a small disk",
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print every skipped test, with the reason why it may be."""
    for name in _skipped(terminalreporter):
        terminalreporter.write_line(f"skipped: {name}: {_allowed(name) or 'NOT LISTED in tests/conftest.py'}")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run with a skip that is not listed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and not all(map(_allowed, _skipped(reporter))) and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _skipped(reporter: pytest.TerminalReporter) -> list[str]:
    return [report.nodeid for report in reporter.getreports("skipped")]


def _allowed(name: str) -> str | None:
    reason = next((reason for pattern, reason in ALLOWED_SKIPS.items() if fnmatch(name, pattern)), None)
    return None if reason == CHROMIUM and shutil.which("chromedriver") and shutil.which("chromium") else reason
