"""The imports are the architecture: stage boundaries of the folders, walked file by file."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "millrace"
JOBS = SOURCE.parents[1] / "jobs"
IO = (
    "kafka",
    "sqlalchemy",
    "httpx",
    "socket",
    "subprocess",
    "websocket",
    "websockets",
    "os",
    "psycopg",
    "mysql",
    "requests",
)
PURE_OF_MILLRACE = (
    "millrace.queries",
    "millrace.kafka.parse",
    "millrace.kafka.posts",
    "millrace.kafka.market",
    "millrace.durations",
    "millrace.names",
    "millrace.errors",
)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def files(folder: str) -> list[Path]:
    found = sorted((SOURCE / folder).glob("*.py"))
    assert found
    return found


@pytest.mark.parametrize("path", files("queries"), ids=lambda path: path.name)
def test_queries_reach_no_io(path):
    assert not {name for name in imports(path) if within(name, *IO)}
    own = {name for name in imports(path) if within(name, "millrace")}
    assert {name for name in own if within(name, *PURE_OF_MILLRACE)} == own


@pytest.mark.parametrize("path", files("ingest"), ids=lambda path: path.name)
def test_ingest_does_not_know_spark_or_what_follows(path):
    assert not {
        name
        for name in imports(path)
        if within(
            name,
            "pyspark",
            "millrace.queries",
            "millrace.sinks",
            "millrace.session",
            "millrace.simulate",
            "millrace.kafka.parse",
            "millrace.kafka.read",
        )
    }


@pytest.mark.parametrize("path", files("simulate"), ids=lambda path: path.name)
def test_the_truth_shares_nothing_with_what_it_judges(path):
    assert not {
        name
        for name in imports(path)
        if within(
            name,
            "millrace.queries",
            "millrace.ingest",
            "millrace.durations",
            "millrace.names",
            "millrace.kafka",
            "millrace.sinks",
            "pyspark",
        )
    }


@pytest.mark.parametrize("path", files("view"), ids=lambda path: path.name)
def test_the_page_neither_computes_nor_writes(path):
    stages = [f"millrace.{stage}" for stage in ("ingest", "kafka", "queries", "simulate", "session", "application")]
    writing = ["millrace.sinks.sql", "millrace.sinks.prune.prune", "millrace.sinks.database.connect"]
    statements = [f"sqlalchemy.{name}" for name in ("insert", "update", "delete")]
    assert not {name for name in imports(path) if within(name, "pyspark", *stages, *writing, *statements)}


def test_only_config_reads_the_environment_for_settings():
    readers = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py") if "os.environ" in path.read_text()}
    assert readers <= {
        "config.py",
        "launch.py",
        "explore.py",
        "running.py",
        "view/server.py",
        "stack/process.py",
        "stack/pydoop.py",
        "stack/mysql.py",
        "stack/postgres.py",
    }


@pytest.mark.parametrize("path", sorted(JOBS.glob("*.py")), ids=lambda path: path.name)
def test_a_job_is_wiring_without_logic(path):
    tree = ast.parse(path.read_text())
    logic = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.For | ast.While | ast.Try | ast.IfExp | ast.comprehension)
    ]
    branches = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "__name__" not in ast.unparse(node.test)
    ]
    assert not logic and not branches
    assert len(path.read_text().splitlines()) <= 45
    assert path.stem not in ("kafka", "pyspark", "millrace")
