"""`make` on a machine that has little: without uv it gets one from PyPI, without python3 it says what to install."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()


def bare(folder: Path, *programs: str) -> dict[str, str]:
    """The environment of a machine that has these programs and an empty home."""
    found = folder / "bin"
    found.mkdir()
    own = {"python3": Path(sys.base_prefix) / "bin" / "python3"}  # what is on the PATH may be a script
    for name in programs:
        (found / name).symlink_to(own.get(name) or str(shutil.which(name)))
    (folder / "home").mkdir()
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "HTTP", "SSL_", "REQUESTS_"))}
    config = {"PIP_CONFIG_FILE": path} if (path := _pip_config()) else {}
    return {**kept, **config, "PATH": str(found), "HOME": str(folder / "home")}


def _pip_config() -> str | None:
    places = [Path.home() / ".config/pip/pip.conf", Path.home() / ".pip/pip.conf"]
    return os.environ.get("PIP_CONFIG_FILE") or next((str(path) for path in places if path.exists()), None)


def make(target: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(shutil.which("make")), target], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_without_uv_it_gets_the_pinned_one(tmp_path: Path) -> None:
    [version] = re.findall(r"^UV_VERSION := (\S+)$", MAKEFILE, re.MULTILINE)
    environment = bare(tmp_path, "python3", "sh", "awk")
    uv = tmp_path / "home" / ".cache" / "millrace" / f"uv-{version}" / "bin" / "uv"
    got = make(str(uv), environment)
    assert got.returncode == 0, got.stderr
    assert f"getting uv {version} from PyPI" in got.stderr
    told = subprocess.run([uv, "--version"], capture_output=True, text=True, check=True).stdout
    assert told.split()[1] == version
    assert not make(str(uv), environment).stderr  # once


@pytest.mark.parametrize("target", ["setup", "demo", "test"])
def test_without_python_one_line_says_what_to_install(target: str, tmp_path: Path) -> None:
    got = make(target, bare(tmp_path, "sh"))
    said = [line for line in got.stderr.splitlines() if not line.startswith("make: ***")]
    assert got.returncode == 2
    assert said == ["make needs python3, or uv: install python3 and python3-venv, then run make again"]


def test_help_lists_the_targets(tmp_path: Path) -> None:
    got = make("help", bare(tmp_path, "awk"))
    listed = {line.split()[1] for line in got.stdout.splitlines()}
    assert {"demo", "test", "check", "setup"} <= listed
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)
    assert phony and listed == set(phony[1].replace("\\\n", " ").split())
