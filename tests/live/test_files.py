"""What the archive may ask of a folder and of real HDFS."""

import pytest

from millrace.archive.files import Exists, Files


def test_files_keep_their_promises(archive: Files) -> None:
    assert archive.list("nowhere") == []
    with pytest.raises(FileNotFoundError):
        archive.read("nowhere")
    archive.write("a/b", b"1")
    archive.write("a/b", b"2")
    archive.create("a/c", b"3")
    with pytest.raises(Exists):
        archive.create("a/c", b"4")
    with pytest.raises(Exists):
        archive.move("a/b", "a/c")
    with pytest.raises(FileNotFoundError):
        archive.move("a/x", "a/y")
    assert [(each.path, each.size) for each in archive.list("a")] == [("a/b", 1), ("a/c", 1)]
    assert (archive.read("a/b"), archive.read("a/c")) == (b"2", b"3")
    archive.remove("a")
    archive.remove("a")
    assert archive.list("") == []
