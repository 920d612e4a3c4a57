import io
import lzma
import tarfile
from pathlib import Path

import pytest

from millrace.stack import debian


def archive(**files: bytes) -> bytes:
    """Return an `ar` archive as dpkg writes it: a header of 60 bytes each, files at even offsets."""
    out = b"!<arch>\n"
    for name, content in files.items():
        out += f"{name.replace('_', '.'):<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        out += content + b"\n" * (len(content) % 2)
    return out


def package(*names: str, link: str) -> bytes:
    """Return a .deb with a file of each name, its name in it, and a link to a file beside it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = len(name)
            tar.addfile(entry, io.BytesIO(name.encode()))
        entry = tarfile.TarInfo(link)
        entry.type, entry.linkname = tarfile.SYMTYPE, f"{link.rpartition('/')[2]}.0"
        tar.addfile(entry)
    return archive(debian_binary=b"2.0", data_tar_xz=lzma.compress(packed.getvalue()))


def test_reads_the_members_of_an_ar_archive() -> None:
    assert debian.members(archive(odd=b"123", even=b"12", empty=b"")) == {
        "odd": b"123",
        "even": b"12",
        "empty": b"",
    }


def test_refuses_what_is_no_ar_archive() -> None:
    with pytest.raises(ValueError, match="not an ar archive"):
        debian.members(b"<html>")


def test_unpacks_files_and_links(tmp_path: Path) -> None:
    link = f"./{debian.LIBRARIES}/libx.so.1"
    (tmp_path / "x.deb").write_bytes(package(f"{link}.0", "./usr/sbin/x", link=link))
    debian.extract(tmp_path / "x.deb", tmp_path / "out")
    assert (tmp_path / "out" / "usr" / "sbin" / "x").read_text() == "./usr/sbin/x"
    assert (tmp_path / "out" / debian.LIBRARIES / "libx.so.1").resolve().name == "libx.so.1.0"


def test_refuses_files_that_lie_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_bytes(package("./../outside", link="./x"))
    with pytest.raises(tarfile.OutsideDestinationError):
        debian.extract(tmp_path / "x.deb", tmp_path / "out")
    assert not (tmp_path / "outside").exists()
