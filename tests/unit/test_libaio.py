import ctypes
import io
import lzma
import tarfile
from pathlib import Path

import pytest

from millrace.stack import libaio


def archive(**files: bytes) -> bytes:
    """Return an `ar` archive as dpkg writes it: a header of 60 bytes each, files at even offsets."""
    out = b"!<arch>\n"
    for name, content in files.items():
        out += f"{name.replace('_', '.'):<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        out += content + b"\n" * (len(content) % 2)
    return out


def package(*names: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(name)
            tar.addfile(entry, io.BytesIO(name.encode()))
        link = tarfile.TarInfo("./lib/libaio.so.1")
        link.type, link.linkname = tarfile.SYMTYPE, "libaio.so.1.0.2"
        tar.addfile(link)
    return archive(debian_binary=b"2.0", data_tar_xz=lzma.compress(packed.getvalue()))


def test_reads_the_members_of_an_ar_archive() -> None:
    assert libaio.members(archive(odd=b"123", even=b"12", empty=b"")) == {
        "odd": b"123",
        "even": b"12",
        "empty": b"",
    }


def test_refuses_what_is_no_ar_archive() -> None:
    with pytest.raises(ValueError, match="not an ar archive"):
        libaio.members(b"<html>")


def test_unpacks_the_library_of_the_package(tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_bytes(package("./usr/share/doc/copyright", "./lib/x86_64-linux-gnu/libaio.so.1.0.2"))
    libaio._extract(tmp_path / "x.deb", tmp_path)
    assert (tmp_path / "libaio.so.1").read_bytes() == b"./lib/x86_64-linux-gnu/libaio.so.1.0.2"


def test_the_library_of_the_system_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: name)
    assert libaio.library_path() is None
