"""The imports are the architecture: the rooms, what each may import, and what none may do."""

import ast
import re
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from millrace.applications.job import Job
from millrace.applications.registry import JOBS
from millrace.cli.options import SqlStore
from millrace.sinks.registry import SINKS
from millrace.spark import launch

SOURCE = Path(__file__).parents[2] / "src" / "millrace"
FILES = SOURCE.parents[1] / "jobs"
GROUND = {"config", "names", "errors", "durations", "logs", "signals", "urls"}
DATA = GROUND | {"kafka"}
# Each folder and each file of the root, and what its files may import beside the folder itself. What a folder may
# import, its subfolders may, too, unless they have a row of their own. docs/architecture.md shows the same table.
ROOMS: dict[str, set[str]] = {
    "__main__": {"cli"},
    "cli": DATA
    | {"demo", "view", "doctor", "applications", "spark", "sinks", "archive", "ingest", "simulate", "stack"}
    | {"cdc", "sentiment"},
    "doctor": DATA | {"demo", "sinks", "archive", "stack", "cdc", "sentiment"},
    "embedded": GROUND | {"stack"},
    "explore": DATA | {"spark", "sinks", "archive"},
    "superset": GROUND | {"demo", "applications", "sinks", "stack"},
    "demo": DATA | {"applications", "sinks", "stack", "cdc"},
    "demo.views": {"logs"},
    "view": DATA | {"sinks", "cdc"},
    "applications": DATA | {"spark", "sinks", "archive", "queries", "cases", "cdc", "sentiment"},
    "spark": DATA | {"sinks", "archive", "queries"},
    "spark.launch": DATA | {"queries", "stack"},
    "sinks": DATA | {"archive", "embedded"},
    "archive": DATA,
    "queries": {"kafka", "names", "errors", "durations"},
    "ingest": DATA,
    "cases": {"names", "errors"},
    "kafka": {"names", "errors", "durations", "logs"},
    "simulate": {"errors"},
    "cdc": DATA | {"sinks"},
    "sentiment": DATA | {"sinks"},
    "stack": DATA | {"cdc"},
    **dict.fromkeys(GROUND, GROUND),
}  # fmt: skip
OUTSIDE = {  # packages that a folder may not import
    "queries": {"kafka", "sqlalchemy", "httpx", "socket", "subprocess", "websocket", "websockets", "os", "requests"},
    "ingest": {"pyspark"},
    "cases": {"pyspark"},
    "simulate": {"pyspark"},
    "stack": {"pyspark"},
    "view": {"pyspark"},
    "kafka": {"sqlalchemy", "elasticsearch", "clickhouse_connect"},
    "demo": {"pyspark"},
}
PARSERS = {"kafka.parse", "kafka.posts", "kafka.market", "kafka.utc"}  # all that queries know of Kafka


def name_of(path: Path) -> str:
    """The module's name below millrace; that of a folder for its __init__."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(SOURCE.rglob("*.py"))}


@cache
def imports(path: Path) -> frozenset[str]:
    """All modules, and names in them, that a file imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def ours(path: Path) -> set[str]:
    """The modules of millrace that a file imports, below millrace."""
    below = {name.removeprefix("millrace.") for name in imports(path) if name.startswith("millrace.")}
    return {name if name in MODULES else name.rpartition(".")[0] for name in below} - {""}


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def room_of(module: str) -> str:
    """The row of ROOMS that a module goes by: that of the nearest folder that has one."""
    while module and module not in ROOMS:
        module = module.rpartition(".")[0]
    return module


def test_every_folder_and_every_file_of_the_root_has_its_row():
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    files = {path.stem for path in SOURCE.glob("*.py")} - {"__init__"}
    assert rooms | files == {name for name in ROOMS if "." not in name}
    assert all(name in MODULES for name in ROOMS)


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_what_its_row_allows(room):
    own = room.partition(".")[0] if room != "demo.views" else room
    for module, path in MODULES.items():
        if room_of(module) == room:
            wrong = {name for name in ours(path) if not within(name, own, *ROOMS[room])}
            assert not wrong, f"{module} imports {', '.join(sorted(wrong))}"


@pytest.mark.parametrize("room", sorted(OUTSIDE))
def test_a_room_knows_no_package_of_another_stage(room):
    for module, path in MODULES.items():
        if within(module, room):
            assert not {name for name in imports(path) if within(name, *OUTSIDE[room])}, module


def test_the_page_comes_without_spark():
    """Not even by what it imports: a reader would wait for that."""
    question = "import sys, millrace.view.pages; sys.exit('pyspark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", question], check=False).returncode == 0


def test_only_launching_takes_what_the_stack_downloads():
    users = {module for module, path in MODULES.items() if any(within(name, "stack") for name in ours(path))}
    faces = ("cli", "demo", "doctor", "superset")
    assert all(within(module, "stack", "spark.launch", "embedded", *faces) for module in users)


def test_no_imports_run_in_a_circle():
    edges = {module: ours(path) - {module} for module, path in MODULES.items()}
    left = dict(edges)
    while ready := [module for module, found in left.items() if not found & left.keys()]:
        for module in ready:
            del left[module]
    assert not left, f"in circles, or above them: {sorted(left)}"


def test_queries_reach_kafka_by_its_parsers_alone():
    for module, path in MODULES.items():
        if within(module, "queries"):
            assert {name for name in ours(path) if within(name, "kafka")} <= PARSERS, module


def test_the_page_neither_computes_nor_writes():
    writing = ("sinks.sql.writer", "sinks.mongodb.writer", "sinks.sql.prune.prune", "sinks.sql.database.connect")
    statements = tuple(f"sqlalchemy.{name}" for name in ("insert", "update", "delete"))
    for module, path in MODULES.items():
        if within(module, "view"):
            assert not {name for name in imports(path) if within(name.removeprefix("millrace."), *writing, *statements)}


def test_each_folder_says_what_it_holds_and_may_import():
    for module, path in MODULES.items():
        if path.name == "__init__.py" and module:
            assert re.search(r"\w.*\b([Mm]ay|Imports what \W?\w+\W? may) import\b", _told(path), re.DOTALL), module
            assert "mport" not in _told(path).splitlines()[0].split(".")[0], module


def _told(path):
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def test_no_file_is_long():
    assert not {
        module: lines for module, path in MODULES.items() if (lines := len(path.read_text().splitlines())) > 250
    }


def test_only_config_reads_the_environment_for_settings():
    readers = {module for module, path in MODULES.items() if "os.environ" in path.read_text()}
    assert readers <= {
        "config",
        "explore",
        "spark.launch.spark_submit",
        "spark.launch.spark_sql",
        "spark.launch.recorder",
        "demo.processes",
        "view.server",
        "archive.hadoop_client",
        "cli.build_pydoop",
        "stack.process",
        "stack.mysql",
        "stack.ollama",
        "stack.ollama_build",
        "stack.postgres",
    }


@pytest.mark.parametrize("path", sorted(FILES.glob("*.py")), ids=lambda path: path.name)
def test_a_job_is_wiring_without_logic(path):
    tree = ast.parse(path.read_text())
    logic = (ast.For, ast.While, ast.Try, ast.IfExp, ast.comprehension, ast.FunctionDef)
    assert not [node for node in ast.walk(tree) if isinstance(node, logic)]
    assert [ast.unparse(node.test) for node in ast.walk(tree) if isinstance(node, ast.If)] == ["__name__ == '__main__'"]
    assert path.stem not in ("kafka", "pyspark", "millrace")


def table(name: str) -> Iterator[list[str]]:
    """The cells of a table of docs/architecture.md, row by row."""
    text = (SOURCE.parents[1] / "docs" / "architecture.md").read_text()
    for line in text.partition(f"<!-- {name} -->")[2].partition(f"<!-- end of {name} -->")[0].strip().splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("|").split("|")]


def test_the_docs_show_the_same_rooms():
    shown = {}
    for room, _, allowed in table("rooms"):
        name = room.strip("`").removesuffix(".py").strip("/").replace("/", ".")
        words = re.findall(r"`([\w./]+)`", allowed)
        shown[name] = set(chain.from_iterable(GROUND if word == "ground" else {word} for word in words))
    assert shown == {name: row for name, row in ROOMS.items() if name not in GROUND} | {"ground": GROUND}


def test_the_docs_show_the_same_jobs():
    shown = [(name.strip("`"), gives) for name, gives, _ in table("jobs")]
    assert shown == [(job.name, job.help) for job in JOBS.values()]
    for name, _, sinks in table("jobs"):
        job = JOBS[name.strip("`")]
        if isinstance(job, Job):
            usual = job.sinks(Namespace(per_post=False, from_topics=None)) if callable(job.sinks) else job.sinks
            assert sinks == ", ".join(usual), name


def test_each_job_has_its_file_and_each_file_its_job():
    assert launch.jobs().keys() == JOBS.keys()
    for name, path in launch.jobs().items():
        text = path.read_text()
        assert f"import {name.upper()}\n" in text and f"main({name.upper()}, __doc__)" in text
        assert JOBS[name].name == name


def test_the_docs_show_the_same_sinks():
    def setting(sink):
        return f"`MILLRACE_{sink.setting.upper()}`" if sink.setting else ""

    def proof(sink):
        return ", ".join(sink.servers or ([sink.name] if sink.rows else []))

    assert list(table("sinks")) == [
        [f"`{sink.name}`", sink.need.value, setting(sink), proof(sink)] for sink in SINKS.values()
    ]


def test_commands_choose_among_the_sql_stores_of_the_table():
    assert [store.value for store in SqlStore] == sorted(
        (name for name, sink in SINKS.items() if sink.relational), key=list(SqlStore).index
    )
