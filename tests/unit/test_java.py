import subprocess
from pathlib import Path

import pytest

from millrace.stack import java

VECTOR = "jdk.incubator.vector"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("option", [[f"--add-modules={VECTOR}"], ["--add-modules", VECTOR]])
def test_spark_s_java_starts_without_the_module_that_the_jdk_lacks(option: list[str]) -> None:
    bare = subprocess.run([java.binary(), *option, "-version"], capture_output=True, check=False)
    assert bare.returncode != 0 and VECTOR in (bare.stdout + bare.stderr).decode()
    shimmed = subprocess.run(
        [java.home() / "bin/java", *option, "-version"], capture_output=True, check=True, text=True
    )
    assert 'version "25' in shimmed.stderr


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ([f"--add-modules={VECTOR}", "-cp", "a b"], ["-cp", "a b"]),
        (
            ["-x", "--add-modules", VECTOR, "--add-modules", "java.sql", ""],
            ["-x", "--add-modules", "java.sql", ""],
        ),
        (
            ["--add-modules=java.sql", "$HOME", "*", "q\"uo'te"],
            ["--add-modules=java.sql", "$HOME", "*", "q\"uo'te"],
        ),
    ],
)
def test_every_other_argument_is_passed_on(
    given: list[str], passed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    echo = tmp_path / "echo"
    echo.write_text('#!/bin/sh\nprintf "%s\\0" "$@"\n')
    echo.chmod(0o755)
    monkeypatch.setattr(java, "binary", lambda: echo)
    out = subprocess.run([java.home() / "bin/java", *given], capture_output=True, check=True).stdout
    assert out.decode().split("\0")[:-1] == passed


def test_the_home_is_made_once() -> None:
    shim = java.home() / "bin/java"
    before = shim.stat().st_mtime_ns
    assert java.home() / "bin/java" == shim and shim.stat().st_mtime_ns == before
    assert [path.name for path in shim.parent.iterdir()] == ["java"]
