import ctypes
from pathlib import Path

import pytest

from millrace.stack import libaio
from tests.unit.test_debian import package


def test_unpacks_the_library_of_the_package(tmp_path: Path) -> None:
    files = ["./usr/share/doc/copyright", "./lib/x86_64-linux-gnu/libaio.so.1.0.2"]
    (tmp_path / "x.deb").write_bytes(package(*files, link="./lib/libaio.so.1"))
    libaio._extract(tmp_path / "x.deb", tmp_path)
    assert (tmp_path / "libaio.so.1").read_bytes() == b"./lib/x86_64-linux-gnu/libaio.so.1.0.2"


def test_the_library_of_the_system_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: name)
    assert libaio.library_path() is None
