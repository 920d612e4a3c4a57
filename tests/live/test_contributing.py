"""The examples of CONTRIBUTING.md, taken from the text as written into a copy of the project, and run there."""

import ast
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests import support
from tests.support import environment

from millrace.config import Settings

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LONGER = re.compile(r"^(\w+) = [({].*, \.\.\., (.*)[)}]$")  # NAME = (what is there, ..., what is new)


def apply(path: Path, text: str) -> None:
    """Write a new file, or add an example's lines to one that is there."""
    if not path.exists():
        path.write_text(text)
        return
    old = path.read_text()
    lines = text.splitlines()
    additions = [found for line in lines if (found := LONGER.match(line))]
    rest = "\n".join(line for line in lines if not LONGER.match(line))
    if not additions:
        path.write_text(f"{old}\n\n{rest}\n")
        return
    for found in additions:
        old = _longer(old, found[1], found[2])
    place = min(old.index(f"\n{found[1]} = ") for found in additions)
    path.write_text(f"{old[:place]}\n{rest}{old[place:]}")


def _longer(text: str, name: str, new: str) -> str:
    """Add an element to the end of the tuple or dict that `name` is."""
    [value] = [
        node.value
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    ]
    lines = text.splitlines(keepends=True)
    assert value.end_lineno and value.end_col_offset
    last = lines[value.end_lineno - 1]
    before = last[: value.end_col_offset - 1]
    comma = "" if "".join([*lines[: value.end_lineno - 1], before]).rstrip().endswith(",") else ", "
    lines[value.end_lineno - 1] = f"{before}{comma}{new}{last[value.end_col_offset - 1 :]}"
    return "".join(lines)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with every example of CONTRIBUTING.md."""
    folder = tmp_path_factory.mktemp("copy")
    for name in ("src", "jobs", "spark-conf", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    blocks = BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text())
    assert len(blocks) == 9
    for name, text in blocks:
        apply(folder / name, text)
    return folder


def python(copy: Path, home: Path, *arguments: str, **known: str) -> subprocess.CompletedProcess[str]:
    own = {"PYTHONPATH": f"{copy / 'src'}:{copy}", "MILLRACE_HOME": str(home), **known}
    return subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=os.environ | own, capture_output=True, text=True, check=False
    )


def test_a_source_and_an_analysis(copy: Path, kafka: Settings, tmp_path: Path) -> None:
    """From the socket of the new feed by the new command and the new job into the new table."""
    said = [{"id": str(n), "time": int(support.now().timestamp() * 1e6), "text": f"post {n} #new"} for n in range(3)]

    with support.serving([json.dumps(message).encode() for message in said]) as url:
        known = environment(kafka)
        fed = python(copy, tmp_path, "-m", "millrace", "ingest", "chatter", "--url", url, "--limit", "3", **known)
        assert fed.returncode == 0, fed.stderr
    ran = python(copy, tmp_path, "-m", "millrace", "run", "visibilities", "--source", "chatter", "--once", **known)
    assert ran.returncode == 0, ran.stderr
    with sqlite3.connect(tmp_path / "millrace.db") as store:
        rows = store.execute("SELECT source, visibility, SUM(posts) FROM visibility_counts GROUP BY 1, 2").fetchall()
    assert rows == [("chatter", "unknown", 3)]


def test_a_sink_keeps_the_contract(copy: Path, tmp_path: Path) -> None:
    contract = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", "tests/live/test_sinks.py", "-k", "jsonl")
    held = python(copy, tmp_path, *contract)
    assert held.returncode == 0, held.stdout[-3000:]
    assert "9 passed" in held.stdout


def test_the_new_job_is_in_the_list(copy: Path, tmp_path: Path) -> None:
    told = python(copy, tmp_path, "-m", "millrace", "run", "--help").stdout
    assert "visibilities" in told and "posts per visibility and window" in told
